import type { Host } from '../../src/hypervisor/host/host.ts';
import type { ExitRecord } from '../../src/hypervisor/journal/exit-journal.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import type { PartitionEnd } from '../../src/hypervisor/partition/run.ts';
import { DEFAULT_MEMORY, type PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { type FileAccess, ProgramError } from '../../src/programs/program.ts';

/** The files of a test: one source. */
function onlyFile(path: string, content: Uint8Array): FileAccess {
  return {
    read: (asked) => {
      if (asked === path) return content;
      throw new ProgramError(`${asked} can't be read: this test has only ${path}.`, asked);
    },
    exists: (asked) => asked === path,
    resolve: (_from, relative) => relative,
  };
}

/** A partition with an assembled program in it; `parent` asks for it. */
export function guest(
  source: string,
  configuration: Partial<PartitionConfiguration> = {},
  host?: Host,
  parent?: GuestPartition,
): GuestPartition {
  const bytes = new TextEncoder().encode(source);
  const program = loadProgram(bytes, 'guest.asm', {}, onlyFile('guest.asm', bytes));
  return createPartition(
    { platform: 'kvm', vendor: 'intel', memory: DEFAULT_MEMORY, vcpus: 1, ...configuration },
    program,
    host,
    parent,
  );
}

export interface Outcome {
  readonly end: PartitionEnd;
  readonly text: string;
  readonly records: readonly ExitRecord[];
  readonly hash: string;
  readonly instructions: bigint;
}

/** Runs it to its end in slices. */
export function runToEnd(partition: GuestPartition, slice = 1_000_000, limit = 50_000_000): Outcome {
  let text = '';
  const records: ExitRecord[] = [];
  partition.onConsole((_source, bytes) => {
    text += new TextDecoder('latin1').decode(bytes);
  });
  partition.journal.onRecord((record) => records.push(record));
  while (partition.icount < BigInt(limit)) {
    const stop = partition.run({ instructions: slice });
    if (stop.kind === 'ended')
      return { end: stop.end, text, records, hash: partition.stateHash(), instructions: partition.icount };
    if (stop.kind !== 'budget') throw new Error(`the guest stopped with ${stop.kind} after printing "${text}"`);
  }
  throw new Error(`the guest did not end; it printed "${text}"`);
}

/** Routines for 64-bit guests: `puts` prints the text at RSI, `hex` prints RAX, `newline`, `off` powers off. */
export const ROUTINES = `
puts:
    lodsb
    test al, al
    jz .done
    mov dx, 0x3f8
    out dx, al
    jmp puts
.done:
    ret
hex:
    push rcx
    push rbx
    mov rbx, rax
    mov ecx, 16
.next:
    rol rbx, 4
    mov al, bl
    and al, 15
    cmp al, 10
    jb .digit
    add al, 'a' - 10 - '0'
.digit:
    add al, '0'
    mov dx, 0x3f8
    out dx, al
    dec ecx
    jnz .next
    pop rbx
    pop rcx
newline:
    mov dx, 0x3f8
    mov al, 10
    out dx, al
    ret
off:
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    cli
    hlt
`;

/** An IDT entry for vector N at \`idt\`, made at run time: \`gate\` takes the vector in ECX and the handler in RAX. */
export const IDT = `
gate:
    push rdi
    lea rdi, [rel idt]
    shl ecx, 4
    add rdi, rcx
    mov [rdi], ax
    mov bx, cs
    mov [rdi + 2], bx
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    shr rax, 16
    mov [rdi + 8], eax
    mov dword [rdi + 12], 0
    pop rdi
    ret
load_idt:
    lea rax, [rel idt]
    mov [rel idt_base], rax
    lidt [rel idt_pointer]
    ret
align 16
idt_pointer: dw 0xfff
idt_base: dq 0
align 16
idt: times 4096 db 0
`;
