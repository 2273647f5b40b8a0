import type { PartitionConfiguration } from '../../../src/platforms/configuration.ts';
import { guest, IDT, type Outcome, ROUTINES, runToEnd } from '../run-guest.ts';

/** Code for a guest with {@link withMsrs}: prints the value of an MSR, or `#GP`. */
export function read(msr: number): string {
  return `
    mov ecx, ${msr}
    call read_msr
  `;
}

/** Writes an MSR and prints `ok` or `#GP`. */
export function write(msr: number, value: bigint | string): string {
  const text = typeof value === 'string' ? value : `0x${BigInt.asUintN(64, value).toString(16)}`;
  return `
    mov ecx, ${msr}
    mov rax, ${text}
    call write_msr
  `;
}

/** A 64-bit guest that runs code with what {@link read} and {@link write} need, and then powers off. `more` is behind it: data, handlers. */
export function withMsrs(code: string, more = ''): string {
  return `
    bits 64
    _start:
      mov rsp, 0x80000
      call load_idt
      mov ecx, 13
      lea rax, [rel on_fault]
      call gate
      ${code}
      jmp off
    read_msr:
      xor r15d, r15d
      xor eax, eax
      xor edx, edx
      rdmsr
      test r15, r15
      jnz say_fault
      shl rdx, 32
      mov eax, eax
      or rax, rdx
      jmp hex
    write_msr:
      xor r15d, r15d
      mov rdx, rax
      shr rdx, 32
      wrmsr
      test r15, r15
      jnz say_fault
      lea rsi, [rel text_ok]
      jmp puts
    say_fault:
      lea rsi, [rel text_fault]
      jmp puts
    on_fault:
      inc r15
      add rsp, 8
      add qword [rsp], 2
      iretq
    text_ok: db "ok", 10, 0
    text_fault: db "#GP", 10, 0
    ${ROUTINES}
    ${more}
    ${IDT}
  `;
}

/** Runs {@link withMsrs} on Hyper-V; the lines that it prints, and how it ended. */
export function runMsrs(
  code: string,
  configuration: Partial<PartitionConfiguration> = {},
  more = '',
): Outcome & { readonly lines: readonly string[] } {
  const outcome = runToEnd(guest(withMsrs(code, more), { platform: 'hyperv', ...configuration }));
  return { ...outcome, lines: outcome.text.split('\n').filter((line) => line !== '') };
}

/** A value as a guest prints it. */
export function printed(value: bigint): string {
  return value.toString(16).padStart(16, '0');
}
