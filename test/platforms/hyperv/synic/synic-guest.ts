import type { PartitionConfiguration } from '../../../../src/platforms/configuration.ts';
import { guest, IDT, type Outcome, ROUTINES, runToEnd } from '../../run-guest.ts';

/** Where the guest has its pages. */
export const MESSAGES = 0x30_0000;
export const EVENTS = 0x30_1000;
export const HYPERCALL = 0x30_2000;

/** Code that writes an MSR. */
export function wrmsr(msr: number, value: bigint | number): string {
  return `
    mov ecx, 0x${msr.toString(16)}
    mov rax, 0x${value.toString(16)}
    call write_msr
  `;
}

/** Code that prints the number in an operand as hexadecimal digits. */
export function print(operand: string): string {
  return `
    mov rax, ${operand}
    call hex
  `;
}

/** Bytes as data, each field little-endian: `[value, bytes]`. */
export function data(label: string, ...fields: readonly (readonly [value: bigint | number, size: number])[]): string {
  const bytes = fields.flatMap(([value, size]) =>
    Array.from({ length: size }, (_, at) => (BigInt(value) >> BigInt(8 * at)) & 0xffn),
  );
  return `align 256\n${label}: db ${bytes.join(', ')}\n`;
}

/** Code that makes a hypercall with input at a label and prints its result. */
export function call(code: number, input: string): string {
  return `
    mov ecx, ${code}
    lea rdx, [rel ${input}]
    xor r8d, r8d
    mov rax, 0x${HYPERCALL.toString(16)}
    call rax
    call hex
  `;
}

/** The same of a fast call with 8 bytes of input. */
export function fastCall(code: number, input: bigint): string {
  return `
    mov ecx, ${code | 0x1_0000}
    mov rdx, 0x${input.toString(16)}
    xor r8d, r8d
    mov rax, 0x${HYPERCALL.toString(16)}
    call rax
    call hex
  `;
}

/**
 * A 64-bit guest with its local APIC on, its SynIC's pages in place, a hypercall page, and handlers of interrupts by their vectors: code
 * that may change RAX to RDX, RSI and R8. Handlers count in R12; `eoi` ends an interrupt. Then it powers off.
 */
export function synicGuest(code: string, handlers: Readonly<Record<number, string>> = {}, more = ''): string {
  const gates = Object.keys(handlers).map((vector) => `mov ecx, ${vector}\nlea rax, [rel handler_${vector}]\ncall gate`);
  const bodies = Object.entries(handlers).map(
    ([vector, body]) => `
    handler_${vector}:
      push rax
      push rbx
      push rcx
      push rdx
      push rsi
      inc r12
      ${body}
      pop rsi
      pop rdx
      pop rcx
      pop rbx
      pop rax
      iretq`,
  );
  return `
    bits 64
    _start:
      mov rsp, 0x80000
      call load_idt
      ${gates.join('\n')}
      mov ebx, 0xfee00000
      mov dword [rbx + 0xf0], 0x1ff
      ${wrmsr(0x4000_0000, 0x8100_0000_0000_0000n)}
      ${wrmsr(0x4000_0001, HYPERCALL | 1)}
      ${wrmsr(0x4000_0083, MESSAGES | 1)}
      ${wrmsr(0x4000_0082, EVENTS | 1)}
      ${wrmsr(0x4000_0080, 1)}
      xor r12d, r12d
      ${code}
      cli
      jmp off
    write_msr:
      mov rdx, rax
      shr rdx, 32
      wrmsr
      ret
    eoi:
      mov ebx, 0xfee00000
      mov dword [rbx + 0xb0], 0
      ret
    ${bodies.join('\n')}
    ${ROUTINES}
    ${more}
    ${IDT}
  `;
}

/** Runs {@link synicGuest}: the lines that it prints, without zeroes in front. */
export function run(
  source: string,
  configuration: Partial<PartitionConfiguration>,
  slice?: number,
): Outcome & { readonly lines: readonly string[] } {
  const outcome = runToEnd(guest(source, { platform: 'hyperv', ...configuration }), slice);
  const lines = outcome.text.split('\n').filter((line) => line !== '');
  return { ...outcome, lines: lines.map((line) => line.replace(/^0+(?=.)/, '')) };
}

/** What tests run on: both vendors, and Intel's processors without APICv. */
export const MACHINES = [
  ['Intel', { vendor: 'intel' }],
  ['Intel without APICv', { vendor: 'intel', intercepts: ['-virtual-interrupts'] }],
  ['AMD', { vendor: 'amd' }],
] as const satisfies readonly (readonly [string, Partial<PartitionConfiguration>])[];
