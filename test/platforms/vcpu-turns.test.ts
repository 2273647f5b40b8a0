import { describe, expect, test } from 'vitest';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { guest, ROUTINES, runToEnd } from './run-guest.ts';

const small = { platform: 'bare', vcpus: 2, memory: 4 << 20 } as const;

/** A boot processor's program, and what the others do in real mode: from 0x20000 or 0x21000 on, with BX = CS. */
const several = (boot: string, others: string) => `bits 64
_start:
    cld
    mov edi, 0x20000
    call copy
    mov edi, 0x21000
    call copy
    mov edi, 0xfee00000
    mov dword [rdi + 0xf0], 0x1ff
    mov dword [rdi + 0x310], 0x01000000
${boot}
copy:
    lea rsi, [rel trampoline]
    mov ecx, trampoline_end - trampoline
    rep movsb
    ret
init:
    mov dword [rdi + 0x300], 0x4500
    ret
startup20:
    mov dword [rdi + 0x300], 0x4620
    ret
startup21:
    mov dword [rdi + 0x300], 0x4621
    ret
; So long that all others have their turns.
turns:
    mov ecx, 50000
.more:
    dec ecx
    jnz .more
    ret
; Prints what the others counted, and whether they still count.
counts:
    mov ebx, [0x6000]
    mov ebp, [0x6100]
    call turns
    mov esi, 'x'
    cmp ebx, [0x6000]
    call verdict
    mov esi, 'y'
    cmp ebp, [0x6100]
verdict:
    mov eax, '-'
    cmovne eax, esi
    mov dx, 0x3f8
    out dx, al
    ret
${ROUTINES}
trampoline:
bits 16
    xor ax, ax
    mov ds, ax
    mov bx, cs
${others}
trampoline_end:
`;

/** Counts at 0x6000 when it was started at 0x20000, at 0x6100 when at 0x21000. */
const COUNT = `
    inc dword [bx + 0x4000]
    jmp $ - 5
`;

const instructions = (partition: GuestPartition) => partition.vcpus.map(({ processor }) => Number(processor.icount));

function run(source: string, configuration: Partial<PartitionConfiguration> = {}) {
  const partition = guest(source, { ...small, ...configuration });
  return { ...runToEnd(partition), counts: instructions(partition), partition };
}

describe.each(['bare', 'kvm'] as const)('messages to a processor on %s', (platform) => {
  test('a start-up message is ignored by one that runs, and taken after INIT', () => {
    const boot = `
    call counts
    call init
    call counts
    call startup20
    call counts
    call startup21
    call counts
    call init
    call counts
    call startup21
    call startup20
    call counts
    jmp off`;
    expect(run(several(boot, COUNT), { platform }).text).toBe('-- -- x- x- -- -y'.replaceAll(' ', ''));
  });

  test('INIT reaches one that is halted for good, and NMI one that is halted with interrupts off', () => {
    const boot = `
    call init
    call startup20
    call turns
    mov eax, [0x6000]
    add al, '0'
    mov dx, 0x3f8
    out dx, al
    mov dword [rdi + 0x300], 0x4400
    call turns
    mov eax, [0x6000]
    add al, '0'
    mov dx, 0x3f8
    out dx, al
    call init
    call startup20
    call turns
    mov eax, [0x6000]
    add al, '0'
    mov dx, 0x3f8
    out dx, al
    jmp off`;
    // The second vector of the real mode's table is that of NMI.
    const others = `
    mov word [8], 0x300
    mov word [10], 0
    mov dword [0x300], 0x600006fe
    mov byte [0x304], 0xcf
    mov sp, 0x7000
    mov ss, ax
    inc byte [0x6000]
    cli
    hlt
    cli
    hlt`;
    expect(run(several(boot, others), { platform }).text).toBe('123');
  });

  test('INIT leaves the APIC base and what table 10-1 says alone, and makes no boot processor of another one', () => {
    const others = `
    mov ecx, 0x1b
    rdmsr
    cmp byte [0x6001], 0
    jne .again
    or ah, 4
    wrmsr
    mov ecx, 0xc0000082
    mov eax, 0x1234
    xor edx, edx
    wrmsr
    mov byte [0x6001], 1
    hlt
.again:
    mov [0x6004], eax
    mov ecx, 0xc0000082
    rdmsr
    mov [0x6008], eax
    mov byte [0x6001], 2
    hlt`;
    const boot = `
    call init
    call startup20
    call turns
    call init
    call startup20
    call turns
    mov eax, [0x6004]
    call hex
    mov eax, [0x6008]
    call hex
    jmp off`;
    // Enabled, in x2APIC mode, not the boot processor.
    expect(run(several(boot, others), { platform }).text).toBe('00000000fee00c00\n0000000000001234\n');
  });
});

describe('turns of the vCPUs', () => {
  const startAll = (count: number) =>
    Array.from(
      { length: count },
      (_, index) => `
    mov dword [rdi + 0x310], ${(index + 1) << 24}
    call init
    call startup20`,
    ).join('\n');

  test('are equal for all that are busy', () => {
    const boot = `
    ${startAll(3)}
    mov ecx, 100000
.work:
    dec ecx
    jnz .work
    jmp off`;
    const { counts } = run(several(boot, COUNT), { vcpus: 4 });
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(20_000);
  });

  test('cost a vCPU that was never started nothing', () => {
    const source = several('call turns\njmp off', COUNT);
    const [one, many] = [run(source, { vcpus: 1 }), run(source, { vcpus: 64 })];
    expect(many.instructions).toBe(one.instructions);
    expect(many.partition.now()).toBe(one.partition.now());
    expect(many.counts.slice(1)).toEqual(Array(63).fill(0));
  });

  test('are given away by PAUSE: a vCPU that spins runs little', () => {
    const boot = `
    ${startAll(1)}
    mov ecx, 200000
.work:
    dec ecx
    jnz .work
    mov byte [0x6000], 1
    jmp off`;
    const spin = (hint: string) => `
.wait:
    ${hint}
    cmp byte [0x6000], 0
    je .wait
    hlt`;
    const [patient, busy] = ['pause', 'nop'].map((hint) => run(several(boot, spin(hint))).counts);
    expect(busy?.[1]).toBeGreaterThan(300_000);
    expect(patient?.[1]).toBeLessThan(500);
  });

  test('go on at once for the only vCPU that can run; when it pauses, a PAUSE takes 40 ns', () => {
    const { counts, partition } = run(several('mov ecx, 1000\n.more:\npause\ndec ecx\njnz .more\njmp off', COUNT));
    expect(partition.now()).toBe(BigInt((counts[0] ?? 0) + 1000 * 40));
  });

  test('are given by the hypercall KVM_HC_SCHED_YIELD to the vCPU that it names', () => {
    const boot = (hypercall: string) => `
    ${startAll(3)}
    call turns
    mov ebp, 100
.more:
    mov eax, 11
    mov ebx, 3
    ${hypercall}
    dec ebp
    jnz .more
    jmp off`;
    const [, first = 0, second = 0, third = 0] = run(several(boot('vmcall'), COUNT), { vcpus: 4, platform: 'kvm' }).counts;
    // Each of the hundred times it comes first; the others have theirs in between, as its own turn ends.
    expect(third - first).toBeGreaterThanOrEqual(0);
    expect(third - second).toBeGreaterThanOrEqual(0);
  });

  test('skip the time in which all are halted, and end when nothing can wake one', () => {
    const boot = `
    lea rax, [rel idt]
    mov [rel idt_pointer + 2], rax
    lea rax, [rel woken]
    mov [rel idt + 0x400], ax
    mov word [rel idt + 0x402], cs
    mov word [rel idt + 0x404], 0x8e00
    shr eax, 16
    mov [rel idt + 0x406], ax
    lidt [rel idt_pointer]
    mov dword [rdi + 0x3e0], 0xb
    mov dword [rdi + 0x320], 0x40
    mov dword [rdi + 0x380], 500000000
    sti
    hlt
    hlt
woken:
    mov al, 'w'
    mov dx, 0x3f8
    out dx, al
    mov dword [rdi + 0xb0], 0
    iretq
align 16
idt_pointer: dw 0xfff
    dq 0
align 16
idt: times 4096 db 0
`;
    const { text, end, partition, instructions: count } = run(several(boot, COUNT), { vcpus: 8 });
    expect(text).toBe('w');
    expect(end.kind).toBe('halted');
    expect(count).toBeLessThan(500n);
    expect(partition.now()).toBeGreaterThan(500_000_000n);
    expect(partition.now()).toBeLessThan(500_001_000n);
  });

  test('skip it as well when a timer raises NMIs, which wake one that has its interrupts off', () => {
    const boot = `
    lea rax, [rel idt]
    mov [rel idt_pointer + 2], rax
    lea rax, [rel nmi]
    mov [rel idt + 0x20], ax
    mov word [rel idt + 0x22], cs
    mov word [rel idt + 0x24], 0x8e00
    shr eax, 16
    mov [rel idt + 0x26], ax
    lidt [rel idt_pointer]
    mov esi, 0xfec00000
    mov dword [rsi], 0x15               ; the timer's pin: an NMI to vCPU 0
    mov dword [rsi + 0x10], 0
    mov dword [rsi], 0x14
    mov dword [rsi + 0x10], 0x400
    mov al, 0x34
    out 0x43, al
    mov al, 0xff
    out 0x40, al
    out 0x40, al
    cli
    hlt
    hlt
    mov dword [rsi + 0x10], 0x10400     ; masked: now nothing can
    hlt
nmi:
    mov al, 'n'
    mov dx, 0x3f8
    out dx, al
    iretq
align 16
idt_pointer: dw 0xfff
    dq 0
align 16
idt: times 4096 db 0
`;
    const { text, end, partition } = run(several(boot, COUNT), { vcpus: 2 });
    expect([text, end.kind]).toEqual(['nn', 'halted']);
    expect(partition.now()).toBeGreaterThan(100_000_000n);
  });
});
