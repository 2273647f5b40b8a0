import * as v from 'valibot';
import { ASSIGNABLE_NAMES } from '../../devices/virtio/assignable.ts';
import { MOST_QUEUES } from '../../devices/virtio/block/device.ts';
import { whyNoFilter } from '../../hypervisor/journal/exit-filter.ts';
import { GrantError, PRIVILEGE_WORDS, parsePorts, parsePrivileges } from '../../hypervisor/privileges/parse-grant.ts';
import { parseMac } from '../../network/packets/addresses.ts';
import { NetworkOptionError, parseForward, parseGuestForward, parseHost } from '../../network/user/options.ts';
import { parseVsockForward, parseVsockGuestForward } from '../../network/vsock-ports.ts';
import { MACHINE_NAMES, PLATFORM_NAMES } from '../../platforms/configuration.ts';
import { NETWORK_NAMES } from '../../platforms/network.ts';
import { MOTION_SCOPES } from '../run-control/control.ts';

const size = v.pipe(v.string(), v.regex(/^\d+[KMG]?$/i, 'must be a size such as 64M or 1G'));
const address = v.pipe(v.string(), v.regex(/^(0x[0-9a-f]{1,16}|\d+)$/i, 'must be an address such as 0x100000'));

/** A number without a fraction, both ends of its range included. */
function wholeNumber(least: number, most: number) {
  return v.pipe(
    v.number(),
    v.integer('must be a whole number'),
    v.minValue(least, `must be at least ${least}`),
    v.maxValue(most, `must be at most ${most}`),
  );
}

/** A list of words that a parser reads, whose GrantError becomes the issue's message. */
function wordList<Output>(parse: (words: readonly string[]) => Output, example: string) {
  const message = `must be a list such as ${example}`;
  return v.pipe(
    v.array(v.string(message), message),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value);
      } catch (error) {
        if (!(error instanceof GrantError)) throw error;
        addIssue({ message: error.message });
        return NEVER;
      }
    }),
  );
}

/** Texts that a parser reads one by one, whose NetworkOptionError becomes the issue's message. */
function parsedList<Output>(parse: (text: string) => Output, example: string) {
  const message = `must be a list such as ${example}`;
  return v.pipe(
    v.array(v.string(message), message),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return dataset.value.map(parse);
      } catch (error) {
        if (!(error instanceof NetworkOptionError)) throw error;
        addIssue({ message: error.message });
        return NEVER;
      }
    }),
  );
}

const NO_MAC = 'must be the address of one station, such as "52:54:00:12:34:56"';
/** Where a guest's serial console can be shown. */
const CONSOLES = ['auto', 'debugConsole', 'terminal'] as const;

/** An attribute as IntelliSense shows it. */
export interface LaunchAttribute {
  readonly schema: v.GenericSchema;
  readonly description: string;
  readonly default?: unknown;
  /** Of a list: the attributes of each of its objects. */
  readonly items?: Readonly<Record<string, LaunchAttribute>>;
  /** Of a list of words: those that there are, each with what it means. */
  readonly words?: readonly { readonly word: string; readonly meaning: string }[];
}

const NO_SHARES = 'must be a list of objects such as { "tag": "work", "folder": "..." }';
/** A disk with more than its file. */
const diskObject = v.strictObject({
  file: v.string(),
  serial: v.optional(v.string()),
  readOnly: v.optional(v.boolean()),
  write: v.optional(v.boolean()),
  queues: v.optional(wholeNumber(1, MOST_QUEUES)),
});
const shareObject = v.strictObject({ tag: v.string(), folder: v.string(), readOnly: v.optional(v.boolean()) }, NO_SHARES);
const NO_DISK = `must be a list of files such as ["disk.img"], or of objects with "file", "serial", "readOnly", "write" and "queues" (1 to ${MOST_QUEUES})`;
const NO_ASSIGNED = `must be a list of ${ASSIGNABLE_NAMES.map((name) => `"${name}"`).join(', ')}`;
const NO_NAMES = 'must be a list of names such as ["org.hyperscope.agent"]';
const NO_FILES = 'must be a list of files such as ["disk.img"]';

/** What a partition is made from. */
const partitionAttributes = {
  program: {
    schema: v.pipe(v.string(), v.minLength(1, 'must name a file')),
    description: 'The guest program: assembly source, ELF file, boot sector or flat binary.',
  },
  platform: {
    schema: v.picklist(PLATFORM_NAMES),
    default: 'kvm',
    description: 'The hypervisor that the guest runs on: `bare` for none.',
  },
  vendor: {
    schema: v.picklist(['intel', 'amd'] as const),
    default: 'intel',
    description: 'Whose processor is emulated: VMX or SVM, their exit numbers and fields.',
  },
  cpu: {
    schema: v.pipe(v.string(), v.minLength(1, 'must name a model')),
    description:
      'Model and features of the emulated processor: `nehalem`, `haswell`, `skylake`, `epyc` or `max`, then `+feature` and `-feature`, with commas between.',
  },
  processor: {
    schema: v.picklist(['emulated', 'kvm'] as const),
    default: 'emulated',
    description: 'Where guest code runs: on the emulated processor, or on /dev/kvm.',
  },
  machine: {
    schema: v.picklist(MACHINE_NAMES),
    description:
      'Which devices the machine has: `microvm`, with virtio devices at places in memory, or `pc`, with a PCI bus. Without it: a microvm with what the program looks for.',
  },
  memory: { schema: size, description: 'RAM of the partition, for example 64M, which is usual; for a Linux kernel 256M.' },
  vcpus: {
    schema: wholeNumber(1, 64),
    default: 1,
    description: 'Number of vCPUs.',
  },
  privileges: {
    schema: wordList(parsePrivileges, '["usual", "-hypercalls"]'),
    words: PRIVILEGE_WORDS,
    default: ['usual'],
    description:
      'What the guest may ask of the hypervisor: names of privileges, `usual` for all but one, and `-name` for one that is taken away, such as `["-hypercalls"]`. A request that it may not make is refused and shown.',
  },
  ports: {
    schema: wordList(parsePorts, '["0x3f8..0x3ff", "0x604..0x605"]'),
    description:
      'The I/O ports that the guest reaches, such as `["0x3f8..0x3ff", "0x604..0x605"]`; all when left out. The others read as ones, and writing to them has no effect.',
  },
  timeShare: {
    schema: wholeNumber(1, 100),
    default: 100,
    description:
      "How much of the host's time the partition may run, in hundredths: with 25 it stands still for three quarters of each 0.1 ms, while its clock goes on.",
  },
  translator: {
    schema: v.pipe(v.string(), v.regex(/^(off|\d+[KMG]?)$/i, 'must be "off" or a size such as 16M')),
    default: '16M',
    description:
      'How much translated code each vCPU keeps, as WebAssembly: a size, or `off` to interpret all. It changes nothing but the speed.',
  },
  append: { schema: v.string(), default: '', description: 'The command line that the boot protocol hands to the guest.' },
  initrd: { schema: v.string(), description: 'A file that the boot protocol hands to the guest as its initial RAM disk.' },
  disk: {
    schema: v.array(v.union([v.string(), diskObject], NO_DISK), NO_FILES),
    description:
      'Disks of the machine: images, raw or qcow2, such as `["disk.img"]`, or objects with more: `{ "file": "disk.qcow2", "serial": "A1", "readOnly": true, "queues": 2 }`. The guest reaches them by virtio, on `hyperv` by SCSI; what it writes stays in memory, and the files are not changed, but for raw images with `"write": true`, which have it when the session is over.',
  },
  channels: {
    schema: v.array(v.string(NO_NAMES), NO_NAMES),
    description:
      'Named ports of the virtio console, such as `["org.hyperscope.agent"]`: `/dev/virtio-ports/NAME` in Linux. What the guest writes there is shown in the Debug Console, and the command `channel` answers.',
  },
  balloon: {
    schema: v.boolean(),
    default: false,
    description:
      'The machine has a virtio memory balloon: `balloon 32M` in the Debug Console asks the guest to give memory back.',
  },
  screen: {
    schema: v.boolean(),
    default: false,
    description:
      'On platform `hyperv`: the machine has a screen, which the view Screen shows. Drivers of Linux look for it on the PCI bus of `"machine": "pc"`.',
  },
  assign: {
    schema: v.array(v.picklist(ASSIGNABLE_NAMES, NO_ASSIGNED), NO_ASSIGNED),
    description:
      'On platform `hyperv`: devices of the host\'s that the guest has by itself, each on a virtual PCI bus of its own: `["rng"]` is an entropy source. Linux binds `pci-hyperv` to the bus.',
  },
  vsock: {
    schema: wholeNumber(3, 0xffff_fffe),
    description:
      "The guest's context for sockets to the host (virtio-vsock), 3 or more; there are none without it. Port 7 of the host (context 2) sends back what it is sent.",
  },
  net: {
    schema: v.picklist(NETWORK_NAMES),
    default: 'none',
    description:
      "What the machine's network card is plugged into: a network of its `user`, the `switch` between the partitions of the session, both as one network (`switch+user`), or `none` for no card.",
  },
  forward: {
    schema: parsedList(parseForward, '["tcp:2222:22"]'),
    description:
      'Ports of this machine that lead to the guest: `["tcp:2222:22"]` for its port 22, `["tcp:2222:10.0.2.16:22"]` for that of the second guest of the network.',
  },
  vsockForward: {
    schema: parsedList(parseVsockForward, '["8000:80"]'),
    description:
      'TCP ports of this machine that lead to the guest\'s sockets (`vsock`): `["8000:80"]` for what listens at port 80 of its context.',
  },
  vsockGuestForward: {
    schema: parsedList(parseVsockGuestForward, '["90:9000"]'),
    description:
      'Services on this machine that the guest\'s sockets reach at the host (context 2): `["90:9000"]` leads its port 90 to what listens at TCP port 9000 here.',
  },
  guestForward: {
    schema: parsedList(parseGuestForward, '["tcp:80:8000"]'),
    description:
      'Services on this machine that the guest reaches at 10.0.2.2: `["tcp:80:8000"]` for what listens at port 8000 here, `["tcp:7:echo"]` for one that sends back what it gets. It reaches no others.',
  },
  hosts: {
    schema: parsedList(parseHost, '["server.test"]'),
    description:
      "Names that the guest's resolver finds: `server.test` for 10.0.2.2, `server.test=10.0.2.16` for another address.",
  },
  serve: {
    schema: v.array(v.string(NO_FILES), NO_FILES),
    description:
      'Files that the guest finds at `http://10.0.2.2/` by their names: `["build/app.tar"]` for `wget http://10.0.2.2/app.tar`. It needs no server on this machine.',
  },
  mac: {
    schema: v.pipe(
      v.string(),
      v.check((text) => parseMac(text) !== undefined, NO_MAC),
      v.transform((text) => parseMac(text) ?? 0),
    ),
    description: "The Ethernet address of the machine's network card; each partition has one of its own when it is left out.",
  },
  pcap: {
    schema: v.string(),
    description: 'A file that each frame of the network card is written to, with its guest time, for Wireshark or tcpdump.',
  },
  shares: {
    schema: v.array(shareObject, NO_SHARES),
    description:
      'Folders that the guest can mount (9p): `[{ "tag": "work", "folder": "src" }]`, then `mount -t 9p -o trans=virtio work /mnt` in Linux. What the guest writes stays in memory, and the folder is not changed.',
  },
  symbols: {
    schema: v.array(v.string(NO_FILES), NO_FILES),
    description:
      'ELF files with debug information for a Linux guest: its `vmlinux`, and programs that its processes run. They are bound to where the kernel and the processes have them.',
  },
  loadAddress: { schema: address, description: 'Where a flat binary is placed, for example 0x100000.' },
  mode: { schema: v.picklist([16, 32, 64] as const), description: 'Code size of a flat binary.' },
  testDevice: {
    schema: v.boolean(),
    default: false,
    description:
      "Add QEMU's `pc-testdev` to the machine: interrupt lines and memory behind ports and MMIO, for guests that test it.",
  },
  ioeventfd: {
    schema: v.boolean(),
    default: false,
    description:
      'On platform `kvm`: doorbells of virtio devices end in the kernel, with a signal to a thread of the VMM, as under QEMU. Without it they are `KVM_EXIT_MMIO`, so that the whole way of a request is on one call stack of the VMM process.',
  },
  intercepts: {
    schema: v.array(v.string()),
    description:
      'What leaves the guest besides what the hypervisor asks for: names such as `rdtsc`, `monitor-trap`, `preemption-timer=10000`, `cr3-write`; `-` in front of one takes it away.',
  },
  exitsKept: {
    schema: wholeNumber(1, 1_000_000),
    default: 4096,
    description: 'How many of the newest exits stay in memory, for the views and the `exits` command.',
  },
} as const;

const NO_LIST = 'must be a list of objects';

/** The attributes of one of several partitions. */
export const memberAttributes = {
  name: {
    schema: v.pipe(v.string(), v.regex(/^[\w.-]{1,40}$/, 'must be a name of letters, digits, ".", "_" and "-"')),
    description:
      'What the partition is called in the call stack and in breakpoints; the name of its program, where it is left out.',
  },
  ...partitionAttributes,
} as const;

/** Every attribute of a launch configuration with what IntelliSense says of it: the one source for the editor and the adapter. */
export const launchAttributes = {
  ...partitionAttributes,
  partitions: {
    schema: v.pipe(
      v.array(v.record(v.string(), v.unknown(), NO_LIST), NO_LIST),
      v.minLength(1, 'must have at least one partition'),
      v.maxLength(16, 'must have at most 16 partitions'),
    ),
    items: memberAttributes,
    description:
      'Several partitions in one session, each an object with a `name` and attributes of its own; what one leaves out it takes from the configuration.',
  },
  moves: {
    schema: v.picklist(MOTION_SCOPES),
    default: 'all',
    description:
      'Who goes on and who stops with the vCPU that you continue, step or pause: `all`, its `partition`, or that `vcpu` alone.',
  },
  console: {
    schema: v.picklist(CONSOLES),
    default: 'auto',
    description:
      "Where the guest's serial console is: in the `debugConsole`, or in a `terminal` of the editor, one for each partition, in which you can type. `auto`: a terminal for a Linux kernel, the Debug Console for others.",
  },
  stopOnEntry: { schema: v.boolean(), default: true, description: 'Stop before the first instruction of the guest.' },
  interruptsWhileStepping: {
    schema: v.boolean(),
    default: false,
    description: 'Let interrupts in while single-stepping; by default they wait, so that a step stays where you look.',
  },
  exits: { schema: v.string(), description: 'A file that the exit journal is written to, one JSON object a line.' },
  exitsFilter: {
    schema: v.pipe(
      v.string(),
      v.check(
        (text) => whyNoFilter(text) === undefined,
        ({ input }) => `is no filter: ${whyNoFilter(input)?.replace(/\.$/, '')}`,
      ),
    ),
    description:
      'Which exits are written to the file of `exits`: `reason=io port=0x3f8`, `!to=device`, `rip=0x1000..0x1fff`, `handler~serial`.',
  },
} as const;
