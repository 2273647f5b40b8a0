import { describe, expect, test } from 'vitest';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { guest, IDT, ROUTINES, runToEnd } from './run-guest.ts';

/** Guests of KVM that leave for more, or for less, than KVM asks for. */

const SPIN = `bits 64
_start:
    mov ecx, 5000
spin:
    dec ecx
    jnz spin
    lea rsi, [rel text]
    call puts
    jmp off
text: db "done", 0
${ROUTINES}`;

function run(source: string, intercepts: readonly string[], configuration: Partial<PartitionConfiguration> = {}) {
  const outcome = runToEnd(guest(source, { intercepts, ...configuration }));
  const of = (reason: string) => outcome.records.filter((record) => record.reason === reason);
  return { ...outcome, of };
}

describe('a guest', () => {
  test('leaves behind each of its instructions', () => {
    const { of, text, records } = run(SPIN, ['monitor-trap']);
    const plain = run(SPIN, []);
    expect([text, plain.text]).toEqual(['done', 'done']);
    // Each instruction leaves once: port accesses, the last of which ends the machine, by themselves.
    expect(records.length).toBe(Number(plain.instructions) + 1);
    expect(of('monitor-trap').length).toBe(records.length - plain.records.length);
    expect(of('monitor-trap')[0]).toMatchObject({ vmx: 37, svm: 0x41, handler: 'kvm-intel handle_monitor_trap', result: 'ok' });
  });

  test('leaves each time that the preemption timer has counted down', () => {
    const { of, text } = run(SPIN, ['preemption-timer=1000']);
    expect(text).toBe('done');
    expect(of('preemption-timer').map(({ icount }) => Number(icount))).toEqual([
      1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000,
    ]);
    expect(of('preemption-timer')[0]).toMatchObject({ vmx: 52, handler: 'kvm-intel handle_preemption_timer' });
  });

  test('that halts by itself leaves for the timer', () => {
    const partition = guest('bits 64\n_start: cli\nhlt', { intercepts: ['-hlt', 'preemption-timer=500'] });
    const times: bigint[] = [];
    partition.journal.onRecord(() => times.push(partition.now()));
    for (let slice = 0; slice < 3; slice++) expect(partition.run({ instructions: 100 }).kind).toBe('budget');
    expect(times.slice(0, 3)).toEqual([500n, 1000n, 1500n]);
    expect(partition.icount).toBe(2n);
  });

  test('leaves for accesses to control registers', () => {
    const source = `bits 64\n_start: mov rax, cr3\nmov cr3, rax\nmov cr8, rcx\njmp off\n${ROUTINES}`;
    const names = (vendor: 'intel' | 'amd', intercepts: readonly string[]) =>
      run(source, intercepts, { vendor })
        .of('cr')
        .map(({ request, handler, svm, result }) => [request, handler, svm, result]);
    expect(names('intel', ['cr3-read', 'cr3-write'])).toEqual([
      ['mov from cr3', 'kvm-intel handle_cr', 3, 'ok'],
      [expect.stringMatching(/^mov cr3, 0x/), 'kvm-intel handle_cr', 0x13, 'ok'],
    ]);
    expect(names('amd', ['cr3-write-trap', 'cr8-write'])).toEqual([
      [expect.stringMatching(/^mov cr3, 0x/), 'kvm-amd cr_trap', 0x93, 'ok'],
      [expect.stringMatching(/^mov cr8, 0x/), 'kvm-amd cr_interception', 0x18, 'ok'],
    ]);
  });

  test('keeps instructions that only leave for who wants to see them', () => {
    const source = `bits 64
_start: mov ecx, 0x30
    lea rax, [rel handler]
    call gate
    call load_idt
    int 0x30
    jmp off
handler: lea rsi, [rel text]
    call puts
    iretq
text: db "served", 0
${IDT}${ROUTINES}`;
    const { of, text } = run(source, ['int-n', 'iret'], { vendor: 'amd' });
    expect([text, of('svm').map(({ request }) => request)]).toEqual(['served', ['int 0x30', 'iret']]);
  });

  test('is told what is no intercept, and a bare machine has none', () => {
    expect(() => guest(SPIN, { intercepts: ['rdtcs'] })).toThrow('"rdtcs" is no intercept');
    expect(() => guest(SPIN, { intercepts: ['rdtsc'], platform: 'bare' })).toThrow('A bare machine has no hypervisor');
  });
});

describe('without APICv', () => {
  const SOURCE = `bits 64
_start: mov ecx, 0x41
    lea rax, [rel handler]
    call gate
    call load_idt
    mov ebx, 0xfee00000
    mov dword [rbx + 0xf0], 0x1ff
    mov eax, 5
    mov cr8, rax
    ; An interrupt of class 4 for itself, which its priority holds back.
    mov dword [rbx + 0x300], 0x40041
    sti
    mov al, '<'
    mov dx, 0x3f8
    out dx, al
    xor eax, eax
    mov cr8, rax
    nop
    mov al, '>'
    mov dx, 0x3f8
    out dx, al
    jmp off
handler: mov al, 'I'
    mov dx, 0x3f8
    out dx, al
    mov dword [rbx + 0xb0], 0
    iretq
${IDT}${ROUTINES}`;

  test('a guest leaves when its task priority lets the interrupt through that waits', () => {
    const { of, text } = run(SOURCE, ['-virtual-interrupts']);
    expect(text).toBe('<I>');
    expect(of('tpr')).toMatchObject([
      { vmx: 43, handler: 'kvm-intel handle_tpr_below_threshold', result: 'interrupt to be injected' },
    ]);
    expect(of('interrupt-window')).toEqual([]);
  });

  test('it runs as it does with it, and on AMD', () => {
    const withApicv = run(SOURCE, []);
    expect([withApicv.text, withApicv.of('tpr')]).toEqual(['<I>', []]);
    expect(run(SOURCE, [], { vendor: 'amd' }).text).toBe('<I>');
  });
});
