import { describe, expect, test } from 'vitest';
import { Msr } from '../../../src/platforms/hyperv/abi/msrs.ts';
import { printed, runMsrs } from './msr-guest.ts';

/**
 * Accesses MSRs by chance: of all numbers, mostly those that have one, with values that are mostly pages in a range of their own. What would
 * end the run isn't accessed. Then takes all overlay pages away and sums up the range, which must be as it was.
 */
function randomAccesses(seed: number): string {
  return `
    mov rdi, 0x200000
    mov ecx, 0x40000
    mov rax, 0x0123456789abcdef
  fill:
    mov [rdi], rax
    add rdi, 8
    add rax, rdi
    dec ecx
    jnz fill
    call sum
    mov r14, rax
    mov r12, ${seed}
    mov r13d, 8000
  again:
    call random
    mov ecx, eax
    and ecx, 0x1fff
    test eax, 0x6000
    jz any
    and ecx, 0x1ff
  any:
    add ecx, 0x40000000
    cmp ecx, ${Msr.RESET}
    je next
    cmp ecx, ${Msr.CRASH_CTL}
    je next
    cmp ecx, ${Msr.GUEST_IDLE}
    je next
    ; Timers would send interrupts to a guest that has no handlers.
    mov edx, ecx
    and edx, ~7
    cmp edx, ${Msr.STIMER0_CONFIG}
    je next
    cmp ecx, ${Msr.ICR}
    je next
    bt eax, 20
    jc reads
    mov r9d, ecx
    call random
    mov ecx, r9d
    mov rdx, rax
    bt eax, 21
    jc wide
    and eax, 0x1ff001
    add eax, 0x200000
    xor edx, edx
    jmp writes
  wide:
    shr rdx, 32
    and eax, ~2
  writes:
    wrmsr
    jmp next
  reads:
    rdmsr
  next:
    dec r13d
    jnz again
    %macro clear 1
    mov ecx, %1
    xor eax, eax
    xor edx, edx
    wrmsr
    %endmacro
    clear ${Msr.GUEST_OS_ID}
    clear ${Msr.HYPERCALL}
    clear ${Msr.REFERENCE_TSC}
    clear ${Msr.VP_ASSIST_PAGE}
    clear ${Msr.SIMP}
    clear ${Msr.SIEFP}
    clear ${Msr.SIRBP}
    call sum
    sub rax, r14
    call hex
  `;
}

const ROUTINES = `
    random:
      mov rax, r12
      shl rax, 13
      xor r12, rax
      mov rax, r12
      shr rax, 7
      xor r12, rax
      mov rax, r12
      shl rax, 17
      xor r12, rax
      mov rax, r12
      shr rax, 11
      ret
    sum:
      mov rdi, 0x200000
      mov ecx, 0x40000
      xor eax, eax
    more:
      rol rax, 3
      add rax, [rdi]
      add rdi, 8
      dec ecx
      jnz more
      ret
    `;

describe('a guest that accesses synthetic MSRs by chance', () => {
  test.each([
    ['intel', 0x1234_5678],
    ['amd', 0x1234_5678],
    ['intel', 0x7abc_def1],
  ] as const)('goes on, and has its memory back in the end (%s, seed %i)', (vendor, seed) => {
    const { lines, end } = runMsrs(randomAccesses(seed), { vendor }, ROUTINES);
    expect(end.kind).toBe('power-off');
    expect(lines).toEqual([printed(0n)]);
  });
});
