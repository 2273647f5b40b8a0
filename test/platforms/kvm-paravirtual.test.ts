import { describe, expect, test } from 'vitest';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { guest, IDT, ROUTINES, runToEnd } from './run-guest.ts';

const APIC_EOI = '0xb0';
/** Its writes to SVR and ICR. */
const OTHER_APIC_EXITS = 11;

/** Sends itself ten interrupts, one after the other, and ends each by KVM's word where that says so. */
const SKIPS_EOIS = `
  bits 64
  _start:
    mov rsp, 0x80000
    call load_idt
    mov ecx, 0x40
    lea rax, [rel handler]
    call gate
    mov ebx, 0xfee00000
    mov dword [rbx + 0xf0], 0x1ff
    mov ecx, 0x4b564d04
    lea rax, [rel word_of_eoi]
    mov rdx, rax
    shr rdx, 32
    or eax, 1
    wrmsr
    sti
    mov r8d, 10
  next:
    mov dword [rbx + 0x300], 0x40040
    nop
    dec r8d
    jnz next
    mov rax, r9
    call hex
    jmp off
  handler:
    inc r9
    btr dword [rel word_of_eoi], 0
    jc ended
    mov dword [rbx + ${APIC_EOI}], 0
  ended:
    iretq
  align 64
  word_of_eoi: dd 0
  ${ROUTINES}
  ${IDT}
`;

/** How many interrupts it took, and the exits for EOIs. */
function interruptsAndEois(configuration: Partial<PartitionConfiguration>, slice?: number) {
  const { text, records, hash } = runToEnd(guest(SKIPS_EOIS, configuration), slice);
  return { text, hash, eois: records.filter(({ reason }) => reason === 'apic').length - OTHER_APIC_EXITS };
}

describe('PV EOI', () => {
  test.each([
    ['AMD without AVIC', { vendor: 'amd' }],
    ['Intel without APICv', { vendor: 'intel', intercepts: ['-virtual-interrupts'] }],
  ] as const)('saves the exits of EOIs on %s, and the next interrupt comes all the same', (_name, configuration) => {
    const { text, eois } = interruptsAndEois(configuration);
    expect(text).toBe('000000000000000a\n');
    expect(eois).toBe(0);
  });

  test('is left alone with APICv, as by KVM', () => {
    expect(interruptsAndEois({ vendor: 'intel' })).toMatchObject({ text: '000000000000000a\n', eois: 10 });
  });

  test('has the same states however the run is cut', () => {
    const whole = interruptsAndEois({ vendor: 'amd' });
    for (const slice of [1, 7]) expect(interruptsAndEois({ vendor: 'amd' }, slice).hash).toBe(whole.hash);
  });
});
