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

/**
 * Two vCPUs with steal time structures. The second one computes; the first one waits until that doesn't run, and leaves it a TLB flush.
 */
const LEAVES_A_FLUSH = `
  bits 64
  _start:
    mov rsp, 0x80000
    mov ebx, 0xfee00000
    mov dword [rbx + 0xf0], 0x1ff
    lea rsi, [rel trampoline]
    mov edi, 0x70000
    mov ecx, trampoline_end - trampoline
    rep movsb
    lea rax, [rel first]
    call enable
    mov dword [rbx + 0x310], 0x1000000
    mov dword [rbx + 0x300], 0x4500
    mov dword [rbx + 0x300], 0x4670
  ready:
    pause
    cmp dword [0x71000], 1
    jne ready
    xor ecx, ecx
  running:
    inc ecx
    jz failed
    mov al, 1
    mov dl, 3
    lock cmpxchg [0x71110], dl
    jne running
  wait_for_it:
    pause
    cmp byte [0x71110], 3
    je wait_for_it
    movzx eax, byte [rel first + 16]
    call hex
    jmp off
  failed:
    mov eax, 0xbad
    call hex
    jmp off
  enable:
    mov ecx, 0x4b564d03
    mov rdx, rax
    shr rdx, 32
    or eax, 1
    wrmsr
    ret
  bits 16
  trampoline:
    mov ecx, 0x4b564d03
    mov eax, 0x71101
    xor edx, edx
    wrmsr
    mov ax, 0x7100
    mov ds, ax
    mov dword [0], 1
  again:
    inc edx
    jmp again
  trampoline_end:
  bits 64
  align 64
  first: times 64 db 0
  ${ROUTINES}
`;

describe('steal time', () => {
  test.each(['intel', 'amd'] as const)('says who does not run, and takes TLB flushes for when it does: %s', (vendor) => {
    const partition = guest(LEAVES_A_FLUSH, { vendor, vcpus: 2 });
    const { text, end } = runToEnd(partition);
    expect(end.message).toBe('The guest powered off.');
    expect(text).toBe('0000000000000000\n');
    const flushes = partition
      .inspect()
      .children?.find(({ name }) => name === 'platform')
      ?.children?.filter(({ name }) => name.startsWith('vCPU'))
      .map(({ children }) => children?.find(({ name }) => name === 'PV TLB flushes')?.value);
    expect(flushes).toEqual(['0', '1']);
  });
});
