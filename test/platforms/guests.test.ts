import { describe, expect, test } from 'vitest';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { guest, IDT, ROUTINES, runToEnd } from './run-guest.ts';

const HYPERCALLS = `bits 64
_start:
    mov eax, 1
    vmcall
    call hex
    mov eax, 77
    vmcall
    call hex
    mov eax, 9
    lea rbx, [rel pairing]
    xor ecx, ecx
    vmcall
    call hex
    mov rax, [rel pairing]
    call hex
    mov eax, 9
    mov rbx, 0xd0000000
    xor ecx, ecx
    vmcall
    call hex
    jmp off
align 64
pairing: times 64 db 0
${ROUTINES}`;

const CPUID = `bits 64
_start:
    mov eax, 1
    cpuid
    mov eax, ecx
    shr eax, 31
    call hex
    mov eax, 0x40000000
    cpuid
    lea rdi, [rel signature]
    mov [rdi], ebx
    mov [rdi + 4], ecx
    mov [rdi + 8], edx
    mov rsi, rdi
    call puts
    call newline
    jmp off
signature: times 16 db 0
${ROUTINES}`;

const TIMER = `bits 64
_start:
    mov ecx, 0x40
    lea rax, [rel tick]
    call gate
    call load_idt
    mov edi, 0xfee00000
    mov dword [rdi + 0xf0], 0x1ff
    mov dword [rdi + 0x3e0], 0xb
    mov dword [rdi + 0x320], 0x20040
    mov dword [rdi + 0x380], 100000
    sti
.wait:
    cmp dword [rel ticks], 3
    jae .done
    hlt
    jmp .wait
.done:
    cli
    mov eax, [rel ticks]
    call hex
    mov ecx, 20000
.busy:
    dec ecx
    jnz .busy
    mov dword [rdi + 0x380], 5000
    mov ecx, 20000
.more:
    dec ecx
    jnz .more
    sti
    nop
    nop
    cli
    mov eax, [rel ticks]
    call hex
    jmp off
tick:
    push rdi
    mov edi, 0xfee00000
    inc dword [rel ticks]
    mov dword [rdi + 0xb0], 0
    pop rdi
    iretq
ticks: dd 0
${ROUTINES}${IDT}`;

/** The timer through the PIC: programmed for 1 ms, late once because interrupts are off. */
const PIC_TIMER = `bits 64
_start:
    mov ecx, 0x20
    lea rax, [rel tick]
    call gate
    call load_idt
    lea rsi, [rel ports]
    mov ecx, 9
.program:
    movzx edx, word [rsi]
    mov al, [rsi + 2]
    out dx, al
    add rsi, 3
    dec ecx
    jnz .program
    sti
.wait:
    cmp dword [rel ticks], 2
    jae .done
    hlt
    jmp .wait
.done:
    cli
    mov ecx, 1000000
.busy:
    dec ecx
    jnz .busy
    sti
    nop
    nop
    cli
    mov eax, [rel ticks]
    call hex
    jmp off
tick:
    push rax
    inc dword [rel ticks]
    mov al, 0x20
    out 0x20, al
    pop rax
    iretq
ticks: dd 0
%macro set 2
    dw %1
    db %2
%endmacro
ports:
    set 0x20, 0x11
    set 0x21, 0x20
    set 0x21, 4
    set 0x21, 1
    set 0x21, 0xfe
    set 0x43, 0x34
    set 0x40, 0xa9
    set 0x40, 0x04
    set 0x80, 0
${ROUTINES}${IDT}`;

const CLOCK = `bits 64
_start:
    mov ecx, 0x4b564d01
    lea rax, [rel time]
    or eax, 1
    xor edx, edx
    wrmsr
    call read
    mov r12, rax
    mov ecx, 500
.busy:
    dec ecx
    jnz .busy
    call read
    sub rax, r12
    call hex
    jmp off
read:
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, [rel time + 8]
    mov cl, [rel time + 28]
    shl rax, cl
    mov edx, [rel time + 24]
    mul rdx
    shrd rax, rdx, 32
    add rax, [rel time + 16]
    ret
align 64
time: times 64 db 0
${ROUTINES}`;

/** The boot processor starts the other one at 0x8000, in real mode, where it prints and says that it is done. */
const TWO = `bits 64
_start:
    mov edi, 0x8000
    lea rsi, [rel trampoline]
    mov ecx, trampoline_end - trampoline
    rep movsb
    mov edi, 0xfee00000
    mov dword [rdi + 0xf0], 0x1ff
    mov dword [rdi + 0x310], 0x01000000
    mov dword [rdi + 0x300], 0x4500
    mov dword [rdi + 0x310], 0x01000000
    mov dword [rdi + 0x300], 0x4608
.wait:
    pause
    cmp byte [0x8800], 1
    jne .wait
    lea rsi, [rel text]
    call puts
    jmp off
text: db "boot processor done", 10, 0
${ROUTINES}
trampoline:
bits 16
    mov dx, 0x3f8
    mov al, 'A'
    out dx, al
    mov al, 'P'
    out dx, al
    mov al, 10
    out dx, al
    xor ax, ax
    mov ds, ax
    mov byte [0x8800], 1
    cli
    hlt
trampoline_end:
`;

const vendors = ['intel', 'amd'] as const;

describe('a guest of KVM', () => {
  test.each(vendors)('sees KVM on %s', (vendor) => {
    expect(runToEnd(guest(CPUID, { vendor })).text).toBe('0000000000000001\nKVMKVMKVM\n');
  });

  test('makes hypercalls', () => {
    const { text, records } = runToEnd(guest(HYPERCALLS));
    expect(text.split('\n')).toEqual([
      '0000000000000000',
      'fffffffffffffc18',
      '0000000000000000',
      '000000006955b900',
      'fffffffffffffff2',
      '',
    ]);
    expect(records.filter(({ reason }) => reason === 'hypercall').map(({ request, result }) => `${request}: ${result}`)).toEqual([
      'vmcall KVM_HC_VAPIC_POLL_IRQ: 0',
      'vmcall hypercall 77: -KVM_ENOSYS (-1000)',
      'vmcall KVM_HC_CLOCK_PAIRING: 0',
      'vmcall KVM_HC_CLOCK_PAIRING: -KVM_EFAULT (-14)',
    ]);
  });

  test('measures time with kvmclock: one instruction is one nanosecond', () => {
    expect(runToEnd(guest(CLOCK)).text).toBe('00000000000003f6\n');
  });

  test.each(vendors)('takes timer interrupts on %s, also late ones', (vendor) => {
    const { text, records } = runToEnd(guest(TIMER, { vendor }));
    expect(text).toBe('0000000000000003\n0000000000000004\n');
    const windows = records.filter(({ reason }) => reason === 'interrupt-window');
    expect(windows.map(({ handler }) => handler)).toEqual(vendor === 'amd' ? ['kvm-amd interrupt_window_interception'] : []);
  });

  test.each(vendors)('takes the PIC’s interrupts by injection on %s, late ones through a window', (vendor) => {
    const { text, records } = runToEnd(guest(PIC_TIMER, { vendor }));
    expect(text).toBe('0000000000000003\n');
    const windows = records.filter(({ reason }) => reason === 'interrupt-window');
    expect(windows).toMatchObject([{ vmx: 7, svm: 0x64, result: 'interrupt to be injected' }]);
    expect(runToEnd(guest(PIC_TIMER, { vendor, platform: 'bare' })).text).toBe(text);
  });

  test.each(['kvm', 'bare'] as const)('reads, changes and copies device memory on %s', (platform) => {
    const source = `bits 64
_start:
    mov edi, 0xfec00000
    mov dword [rdi], 0x10
    or dword [rdi + 0x10], 0x41
    mov eax, [rdi + 0x10]
    call hex
    lea rsi, [rdi + 0x10]
    mov eax, 0x14
    mov [rdi], eax
    mov dword [rdi + 0x10], 0x1234
    lea rbx, [rel copy]
    xchg rdi, rbx
    movsd
    mov eax, [rel copy]
    call hex
    lea rsi, [rel text]
    mov ecx, 6
    mov dx, 0x3f8
    rep outsb
    jmp off
text: db "string", 0
copy: dd 0
${ROUTINES}`;
    const { text, records } = runToEnd(guest(source, { platform }));
    // Delivery status (bit 12) is read-only.
    expect(text).toBe('0000000000010041\n0000000000000234\nstring');
    const requests = records.filter(({ reason }) => reason === 'mmio').map(({ request }) => request);
    if (platform === 'kvm')
      expect(requests.slice(0, 3)).toEqual([
        'write 0xfec00000, 0x00000010',
        'read 0xfec00010 (4 bytes)',
        'write 0xfec00010, 0x00010041',
      ]);
  });

  test('starts a second processor', () => {
    expect(runToEnd(guest(TWO, { vcpus: 2 })).text).toBe('AP\nboot processor done\n');
  });

  const programs: readonly (readonly [name: string, source: string, configuration: Partial<PartitionConfiguration>])[] = [
    ['hypercalls', HYPERCALLS, {}],
    ['timer', TIMER, {}],
    ['timer on AMD', TIMER, { vendor: 'amd' }],
    ['timer through the PIC', PIC_TIMER, {}],
    ['two processors', TWO, { vcpus: 2 }],
  ];
  test.each(programs)('runs alike however it is stopped: %s', (_name, source, configuration) => {
    const whole = runToEnd(guest(source, configuration));
    for (const slice of [7, 1000]) {
      const pieces = runToEnd(guest(source, configuration), slice);
      expect(pieces.text).toBe(whole.text);
      expect(pieces.instructions).toBe(whole.instructions);
      expect(pieces.hash).toBe(whole.hash);
      expect(pieces.records.map(({ partition, ...rest }) => rest)).toEqual(whole.records.map(({ partition, ...rest }) => rest));
    }
  });

  test('starts over after a reset and does the same again', () => {
    const partition = guest(TIMER);
    const first = runToEnd(partition);
    partition.reset();
    const second = runToEnd(partition);
    expect(second.hash).toBe(first.hash);
    expect(second.text).toBe(first.text);
  });
});

describe('a bare machine', () => {
  test('has no hypervisor', () => {
    expect(runToEnd(guest(CPUID, { platform: 'bare' })).text.split('\n')[0]).toBe('0000000000000000');
  });

  test('has no VM exits', () => {
    expect(runToEnd(guest(TIMER, { platform: 'bare' })).records).toEqual([]);
  });

  test('raises #UD for a hypercall', () => {
    const source = `bits 64
_start:
    mov ecx, 6
    lea rax, [rel undefined]
    call gate
    call load_idt
    vmcall
undefined:
    lea rsi, [rel text]
    call puts
    jmp off
text: db "#UD", 10, 0
${ROUTINES}${IDT}`;
    expect(runToEnd(guest(source, { platform: 'bare' })).text).toBe('#UD\n');
  });
});

describe('an exception without a handler', () => {
  test.each([
    ['ud2', 'The guest met #UD at RIP 0x100000 and has no handler for it.'],
    [
      'mov rax, 0xfffff00000000000\nmov rax, [rax]',
      'The guest met #PF(0) at RIP 0x10000a, address 0xfffff00000000000, and has no handler for it.',
    ],
  ])('ends a 64-bit guest with a sentence: %s', (code, message) => {
    expect(runToEnd(guest(`bits 64\n${code}\n`)).end).toEqual({ kind: 'crash', status: 126, message });
  });

  test('is a triple fault in 32-bit code without an IDT', () => {
    expect(runToEnd(guest('bits 32\nud2\n')).end).toMatchObject({ kind: 'triple-fault', status: 125 });
  });
});

test.each(['xen-pv', 'xen-pvh', 'xen-hvm', 'nitro'] as const)('platform %s is refused with one sentence', (platform) => {
  expect(() => guest('bits 64\nhlt\n', { platform })).toThrow(
    `Platform ${platform} comes with a later version; choose bare, kvm or hyperv.`,
  );
});

test.each([
  [{ memory: 100 }, 'whole MiB'],
  [{ memory: 2 ** 32 }, '1M to 3584M'],
  [{ memory: 8 * 2 ** 30 }, '8192M was asked for'],
  [{ vcpus: 0 }, '1 to 64 vCPUs; 0 were asked for'],
  [{ vcpus: 1.5 }, '1 to 64 vCPUs'],
  [{ vcpus: 64, memory: 3584 * 2 ** 20 }, 'A partition with 64 vCPUs can have 3071M of memory; 3584M was asked for.'],
])('a configuration out of range is refused: %j', (configuration, sentence) => {
  expect(() => guest('bits 64\nhlt\n', configuration)).toThrow(sentence);
});

test('a program beyond the memory is refused', () => {
  expect(() => guest('org 0x8000000\nbits 64\nhlt\n')).toThrow(
    'The program wants memory from 0x8000000 to 0x8000000, where this partition of 64M has none',
  );
});
