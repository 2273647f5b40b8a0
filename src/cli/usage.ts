import { FACET_NAMES } from '../hypervisor/journal/exit-facets.ts';
import { PRIVILEGES } from '../hypervisor/privileges/privileges.ts';

/** A command line that can't be followed. The message is one sentence; the process ends with status 2. */
export class UsageError extends Error {}

const HELP = `Hyperscope runs guest programs on emulated x86-64 machines, with every VM exit open to look at.

Usage: hyperscope COMMAND …

  run PROGRAM [options] [-- GUEST-ARGS]   run a guest to its end; its serial console is on stdout
  dap [--port N]                          debug adapter on stdio, or on a TCP port of 127.0.0.1
  gdbserver PROGRAM [--port N]            serve a guest to gdb or lldb
  exits FILE [--by FIELD]                 summarize an exit journal
  asm FILE -o OUT [-f FORMAT]             assemble guest assembly (bin, elf32 or elf64)
  bench                                   measure the processor's speed beside QEMU's and Bochs's
  help [COMMAND]                          this text, or that of a command

Try: hyperscope run samples/hello/hello.asm
`;

const RUN = `Usage: hyperscope run PROGRAM [options] [-- GUEST-ARGS]

PROGRAM is found out by its content: guest assembly (.asm, .s), ELF, a Linux kernel (vmlinuz), a boot
sector, a disk image or a flat binary.

  --platform NAME         bare, kvm or hyperv (default kvm)
  --vendor NAME           intel or amd (default intel, or as --cpu says)
  --cpu MODEL,+X,-Y       nehalem, haswell, skylake, epyc or max, and features to switch on and off
  --machine NAME          microvm (virtio devices at places in memory) or pc (on a PCI bus); it then has all its devices
  --memory SIZE           RAM, such as 64M or 1G (default 64M, for Linux 256M, at most 3584M)
  --vcpus N               virtual processors, 1 to 64 (default 1)
  --privileges LIST       what the guest may ask for, such as usual,-hypercalls (\`help privileges\` lists them)
  --ports LIST            the I/O ports that it reaches, such as 0x3f8..0x3ff,0x64 (default all)
  --translator SIZE|off   how much translated code each vCPU keeps (default 16M), or none: it changes only the speed
  --append TEXT           command line for the guest, as its boot protocol has it
  --initrd FILE           initial RAM disk or module
  --disk FILE[,ro][,write=on][,serial=TEXT][,queues=N]
                          a disk for virtio, on hyperv for SCSI, raw or qcow2; once for each disk. What is written
                          stays in memory; with write=on it is in the (raw) image after the run
  --channel NAME[=FILE]   a named port of the virtio console; what the guest writes there goes to FILE, or to stderr
  --balloon               a virtio memory balloon, by which the guest reports pages that it doesn't use
  --screen                a screen for guests of hyperv; the editor shows what is on it
  --assign rng            a device of the host's for a guest of hyperv, on a virtual PCI bus of its own; once for each
  --net NAME              a network card, on a network of this machine's user (user), or none (default)
  --forward tcp:N:M       port N of 127.0.0.1 leads to port M of the guest; udp: too; once for each
  --guest-forward tcp:N:M port N of 10.0.2.2, in the guest, leads to port M of 127.0.0.1; once for each
  --serve FILE            the guest finds it at http://10.0.2.2/ by its name; once for each
  --host NAME[=ADDRESS]   a name for the guest's resolver, of 10.0.2.2 or of another address; once for each
  --mac ADDRESS           the card's Ethernet address (default 52:54:00:12:34:56)
  --pcap FILE             write each frame of the card, with its guest time, for Wireshark
  --vsock CID             sockets to the host (virtio-vsock) for a guest with this context, 3 or more
  --share TAG=FOLDER[,ro] a folder that the guest can mount by 9p; once for each. What is written stays in memory
  --vsock-forward TCP:N   TCP port of 127.0.0.1 that leads to port N of the guest's sockets; once for each
  --vsock-guest-forward N:TCP
                          port N of the host, for the guest's sockets, leads to a TCP port of 127.0.0.1; once for each
  --load-address ADDRESS  where a flat binary goes
  --mode 16|32|64         mode in which a flat binary starts
  --exits FILE            write the exit journal as JSON lines
  --exits-filter FILTER   which exits are written there, such as 'reason=io !port=0x3f8'
  --exits-kept N          how many exits are kept in memory, where \`monitor exits\` of gdbserver finds them (default 4096)
  --test-device           add QEMU's pc-testdev, for guests that test the machine
  --ioeventfd             on kvm: doorbells of virtio end in its kernel part, instead of being exits to the VMM
  --intercept NAME        let the guest leave for more, such as rdtsc, monitor-trap or cr3-write (again for each)
  --crash-report FILE     when the guest crashes, write what led there as Markdown
  --stats                 print one JSON object on stderr at the end
  --state-hash            print the final state hash on stderr
  --max-instructions N    stop after N guest instructions
  --timeout SECONDS       stop after this much time

Exit status: 0 when the guest powers off, resets or halts for good; (V << 1) | 1 for a write of V to port 0xF4; 124 when
--timeout or --max-instructions ends it; 125 on a triple fault; 126 when the guest crashes; 2 for a bad command line or program.
`;

const EXITS = `Usage: hyperscope exits FILE [options]

Summarizes an exit journal that \`run --exits FILE\` wrote: how often, how much of all, after how many guest instructions.

  --by FIELD              one table: ${FACET_NAMES.join(', ')} (without: all that have something)
  --filter FILTER         only exits that it lets through: 'reason=io port=0x3f8', 'rip=0x1000..0x1fff', '!to=device', 'handler~serial'
  --program FILE          names places by this program's functions and lines
  --top N                 rows of each table (default 20)
  --json                  everything as JSON
`;

const ASM = `Usage: hyperscope asm FILE -o OUT [-f bin|elf32|elf64]

Assembles guest assembly in NASM syntax. ELF files have symbols and line information for debuggers.
`;

const DAP = `Usage: hyperscope dap [--port N]

Speaks the Debug Adapter Protocol on stdin and stdout, or serves one session after the other on TCP port N of 127.0.0.1.
`;

const GDBSERVER = `Usage: hyperscope gdbserver PROGRAM [options] [--port N]

Loads a guest, stops at its first instruction and waits on TCP port N of 127.0.0.1 (default 1234; 0 takes a free one) for a
debugger that speaks GDB's remote protocol. The guest's serial console is on stdout. The options are those of \`run\`.

  gdb PROGRAM -ex 'target remote 127.0.0.1:1234'

\`monitor help\` in gdb lists what Hyperscope can show besides: the last VM exits, page walks, descriptor tables, CPUID.
`;

const BENCH = `Usage: hyperscope bench [options]

Runs guest programs on the interpreter, on the translator, and, where they are installed, on QEMU's TCG (as it is, and counting
instructions exactly), on Bochs and, for 32-bit programs, on v86, in turns. Prints millions of guest instructions a second and ratios.

  --exits                 measure VM exits instead: exits a second by kind, with the journal off, in memory, counted and in a file
  --boot KERNEL           measure how long a Linux kernel takes from its first instruction to power-off, on both machines and on QEMU
                          (with --initrd FILE, which powers off, --disk FILE, --append TEXT and --memory SIZE)
  --programs A,B          only these programs, or with --exits these kinds
  --group NAME            integer, memory, vectors, system or 32-bit
  --engines A,B           of interpreter, translator, qemu, qemu-icount, bochs, v86
  --seconds N             how long each run takes (default 1)
  --rounds N              runs of each program on each engine; the median counts (default 3)
  --json FILE             write the numbers to a file
  --check FILE            compare the ratios with a baseline file; status 1 when one is worse than it allows
`;

const PRIVILEGE_HELP = `Usage: --privileges LIST

What a guest may ask of the hypervisor, as names with commas between. Without the option it is what \`usual\` stands for.

${[
  ['usual', 'all but create-partitions and debugging'],
  ['none', 'nothing'],
  ...PRIVILEGES.map(({ name, grants }) => [name, grants]),
  ['-NAME', 'all that is said else, or what is usual, without this one'],
]
  .map(([word = '', meaning]) => `  ${word.padEnd(20)}  ${meaning}`)
  .join('\n')}

A list that begins with a minus sign needs an equals sign: --privileges=-hypercalls,-power. What a guest may not ask for is
refused: it has no effect, stderr says so once of each, and the exit journal has it as the result of the exit.
`;

const PAGES: Readonly<Record<string, string>> = {
  run: RUN,
  exits: EXITS,
  asm: ASM,
  dap: DAP,
  gdbserver: GDBSERVER,
  bench: BENCH,
  privileges: PRIVILEGE_HELP,
};

/** Help on a command, or on all. */
export function helpText(command: string | undefined): string {
  return command === undefined ? HELP : (PAGES[command] ?? HELP);
}
