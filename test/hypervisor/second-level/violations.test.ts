import { describe, expect, test } from 'vitest';
import { svmExitInfo, vmxQualification } from '../../../src/hypervisor/exits/qualification.ts';
import type { GuestPartition } from '../../../src/hypervisor/partition/guest-partition.ts';
import { IDT, ROUTINES, runToEnd } from '../../platforms/run-guest.ts';
import { ALL, guest, NOTHING, processorOf, READ_ONLY, stopAt, TIERS } from './stop-at.ts';

const PAGE = 0x60_0000n;
const FORM = { addressSize: 64, segment: 3 } as const;
const [RAX, RCX, RSP, RSI, RDI] = [0, 1, 4, 6, 7] as const;

/** The state that an exit must leave alone. */
function registers(partition: GuestPartition): readonly bigint[] {
  const { state } = processorOf(partition);
  return [...Array.from({ length: 16 }, (_, index) => state.gpr(index)), state.rip, BigInt(state.rflags)];
}

/** Lets vector instructions be used. */
const VECTORS = `
    mov rax, cr4
    or eax, 0x200
    mov cr4, rax
`;

/** Runs through pages of 4 KiB from 4 MiB on, often enough to be hot, with one instruction for each. */
const through = (instruction: string) => `bits 64
_start:${VECTORS}
    mov ebp, 40
.again:
    mov edi, 0x400000
.next:
    mov eax, edi
    ${instruction}
    add edi, 0x1000
    cmp edi, 0x600000
    jb .next
    dec ebp
    jnz .again
    jmp .next
${ROUTINES}`;

describe.each(TIERS)('a refused access, %s', (_name, tier) => {
  test.each([
    ['mov [rdi], eax', READ_ONLY, 'write', 0x18an, 0x1_0000_0007n],
    ['mov [rdi], eax', NOTHING, 'write', 0x182n, 0x1_0000_0006n],
    ['mov [rdi], eax', { ...READ_ONLY, execute: true }, 'write', 0x1aan, 0x1_0000_0007n],
    ['add [rdi], eax', READ_ONLY, 'write', 0x18an, 0x1_0000_0007n],
    ['mov ebx, [rdi]', NOTHING, 'read', 0x181n, 0x1_0000_0004n],
    ['movups xmm1, [rdi]', NOTHING, 'read', 0x181n, 0x1_0000_0004n],
    ['movups [rdi], xmm1', READ_ONLY, 'write', 0x18an, 0x1_0000_0007n],
    ['mov ebx, [rdi]', { ...NOTHING, execute: true }, 'read', 0x1a1n, 0x1_0000_0005n],
  ] as const)('by %s leaves before it has done anything', (instruction, rights, access, qualification, info1) => {
    const partition = guest(through(instruction), tier);
    partition.secondLevel.setPermissions(PAGE, 0x1000n, rights);
    const exit = stopAt(partition, 'second-level-violation');
    expect(exit).toMatchObject({ gpa: PAGE, gva: PAGE, access, duringWalk: false });
    expect(exit.instructionLength).toBeGreaterThan(1);
    expect(vmxQualification(exit)).toBe(qualification);
    expect(svmExitInfo(exit, FORM)).toEqual({ info1, info2: PAGE });
    const { state } = processorOf(partition);
    expect([state.rip, state.gpr(RDI), state.gpr(RAX)]).toEqual([exit.rip, PAGE, PAGE]);
    expect([...partition.memory.read(PAGE, 4)]).toEqual([0, 0, 0, 0]);
    // The instructions before it and none else.
    expect(partition.icount).toBe(exit.icount);
    expect(exit.icount).toBe(4n + 40n * (1n + 512n * 5n + 2n) + 2n);
    partition.secondLevel.setPermissions(PAGE, 0x1000n, ALL);
    partition.run({ instructions: 1 });
    expect(processorOf(partition).icount).toBe(exit.icount + 1n);
    expect(partition.memory.read(PAGE, 4)[2]).toBe(access === 'write' && instruction.includes('eax') ? 0x60 : 0);
  });

  test('comes at once where a right was taken away that translations were made with', () => {
    const partition = guest(through('mov [rdi], eax'), tier);
    partition.secondLevel.setPermissions(PAGE, 0x1000n, READ_ONLY);
    stopAt(partition, 'second-level-violation');
    partition.secondLevel.setPermissions(PAGE, 0x1000n, ALL);
    partition.secondLevel.setPermissions(0x45_0000n, 0x2000n, READ_ONLY);
    expect(stopAt(partition, 'second-level-violation').gpa).toBe(0x45_0000n);
    partition.secondLevel.setPermissions(0x45_0000n, 0x1000n, ALL);
    expect(stopAt(partition, 'second-level-violation').gpa).toBe(0x45_1000n);
  });

  test('of a fetch leaves at the instruction that it is for', () => {
    const partition = guest(
      `bits 64
_start:
    mov edi, 0x600000
    mov byte [rdi], 0xc3
    mov byte [rdi + 0x1000], 0xc3
    mov ecx, 9000
.next:
    call rdi
    dec ecx
    jnz .next
    add edi, 0x1000
    call rdi
    jmp off
${ROUTINES}`,
      tier,
    );
    partition.secondLevel.setPermissions(PAGE + 0x1000n, 0x1000n, { ...ALL, execute: false });
    const exit = stopAt(partition, 'second-level-violation');
    expect(exit).toMatchObject({ rip: PAGE + 0x1000n, gpa: PAGE + 0x1000n, gva: PAGE + 0x1000n, access: 'execute' });
    expect(vmxQualification(exit)).toBe(0x19cn);
    expect(svmExitInfo(exit, FORM).info1).toBe(0x1_0000_0015n);
    partition.secondLevel.setPermissions(PAGE, 0x2000n, ALL);
    expect(runToEnd(partition).end.kind).toBe('power-off');
  });

  test('of the second part of an instruction leaves when it is reached, not before', () => {
    const partition = guest(
      `bits 64
_start:
    mov edi, 0x600ffd
    mov byte [rdi], 0x90
    mov dword [rdi + 1], 0x000500b8 + (0x34 << 8)
    mov word [rdi + 5], 0xc300
    call rdi
    call hex
    jmp off
${ROUTINES}`,
      tier,
    );
    partition.secondLevel.setPermissions(PAGE + 0x1000n, 0x1000n, { ...ALL, execute: false });
    const exit = stopAt(partition, 'second-level-violation');
    expect(exit).toMatchObject({ rip: 0x60_0ffen, gpa: 0x60_1000n, access: 'execute' });
    partition.secondLevel.setPermissions(PAGE + 0x1000n, 0x1000n, ALL);
    expect(runToEnd(partition).text).toBe('0000000000000534\n');
  });

  test.each([
    ['mov [rdi], rax', 'second', PAGE + 0x1000n],
    ['mov [rdi], rax', 'first', PAGE],
    ['movups [rdi], xmm0', 'second', PAGE + 0x1000n],
    ['movups [rdi], xmm0', 'first', PAGE],
  ] as const)('of %s across pages, the %s one forbidden, writes nothing', (instruction, _which, forbidden) => {
    const partition = guest(
      `bits 64
_start:${VECTORS}
    mov rax, -1
    pcmpeqd xmm0, xmm0
    mov edi, 0x600ffc
    ${instruction}
    jmp off
${ROUTINES}`,
      tier,
    );
    partition.secondLevel.setPermissions(forbidden, 0x1000n, READ_ONLY);
    expect(stopAt(partition, 'second-level-violation').gpa & ~0xfffn).toBe(forbidden);
    expect(partition.memory.read(0x60_0ffcn, 16).every((byte) => byte === 0)).toBe(true);
    partition.secondLevel.setPermissions(forbidden, 0x1000n, ALL);
    expect(runToEnd(partition).end.kind).toBe('power-off');
    expect(partition.memory.read(0x60_0ffcn, 8).every((byte) => byte === 0xff)).toBe(true);
  });

  test.each([
    ['rep movsb', 'destination', 'write'],
    ['rep movsb', 'source', 'read'],
    ['rep stosq', 'destination', 'write'],
  ] as const)('in the middle of %s, at its %s, leaves the counters at the element', (instruction, which, access) => {
    const partition = guest(
      `bits 64
_start:
    mov esi, 0x500000
    mov edi, 0x600000
    mov ecx, 0x2000
    ${instruction}
    jmp off
${ROUTINES}`,
      tier,
    );
    const forbidden = which === 'source' ? 0x50_1000n : PAGE + 0x1000n;
    partition.secondLevel.setPermissions(forbidden, 0x1000n, access === 'read' ? NOTHING : READ_ONLY);
    const exit = stopAt(partition, 'second-level-violation');
    expect(exit).toMatchObject({ gpa: forbidden, access });
    const { state } = processorOf(partition);
    const done = instruction === 'rep stosq' ? 0x200n : 0x1000n;
    expect([state.gpr(RCX), state.gpr(RDI), state.rip]).toEqual([0x2000n - done, PAGE + 0x1000n, exit.rip]);
    if (instruction === 'rep movsb') expect(state.gpr(RSI)).toBe(0x50_1000n);
    expect(exit.icount).toBe(3n + done);
    partition.secondLevel.setPermissions(forbidden, 0x1000n, ALL);
    expect(runToEnd(partition).end.kind).toBe('power-off');
    expect(processorOf(partition).state.gpr(RCX)).toBe(0n);
  });
});

describe.each(TIERS)('a walk through the page tables, %s', (_name, tier) => {
  /** Maps linear 0x8000000000 to 0x600000 by tables at 0x700000 (PDPT) to 0x702000 (PT), and reads or writes there. */
  const mapped = (instruction: string) => `bits 64
_start:
    mov rbx, cr3
    mov qword [rbx + 8], 0x700003
    mov edi, 0x700000
    mov qword [rdi], 0x701003
    mov qword [rdi + 0x1000], 0x702003
    mov qword [rdi + 0x2008], 0x600003
    mov rdi, 0x8000001234
    mov eax, 0x55
    ${instruction}
    jmp off
${ROUTINES}`;

  test.each([
    ['mov [rdi], eax', NOTHING, 0x83n, 0x2_0000_0006n],
    ['mov eax, [rdi]', READ_ONLY, 0x8bn, 0x2_0000_0007n],
  ] as const)('of %s says the entry, and that it reads and writes it', (instruction, rights, qualification, info1) => {
    const partition = guest(mapped(instruction), tier);
    for (const [table, entry] of [
      [0x70_0000n, 0x70_0000n],
      [0x70_1000n, 0x70_1000n],
      [0x70_2000n, 0x70_2008n],
    ] as const) {
      // The guest has written its tables before.
      if (table === 0x70_0000n) {
        partition.run({ instructions: 8 });
        partition.secondLevel.setPermissions(0x70_0000n, 0x3000n, rights);
      }
      const exit = stopAt(partition, 'second-level-violation');
      expect(exit).toMatchObject({ gpa: entry, gva: 0x80_0000_1234n, access: 'read-write', duringWalk: true });
      expect(vmxQualification(exit)).toBe(qualification);
      expect(svmExitInfo(exit, FORM)).toEqual({ info1, info2: entry });
      partition.secondLevel.setPermissions(table, 0x1000n, ALL);
    }
    // No accessed bit was set before all were allowed.
    expect([...partition.memory.read(0x70_2008n, 1)]).toEqual([3]);
    const { end, records } = runToEnd(partition);
    expect(end.kind).toBe('power-off');
    expect(records.filter(({ reason }) => reason.startsWith('second'))).toHaveLength(1);
    expect(partition.memory.read(0x70_2008n, 1)[0]).toBe(instruction.startsWith('mov [') ? 0x63 : 0x23);
  });

  test('comes before the access, which has its own refusal', () => {
    const partition = guest(mapped('mov [rdi], eax'), tier);
    partition.run({ instructions: 8 });
    partition.secondLevel.setPermissions(0x60_0000n, 0x1000n, READ_ONLY);
    expect(stopAt(partition, 'second-level-violation')).toMatchObject({
      gpa: 0x60_0234n,
      gva: 0x80_0000_1234n,
      duringWalk: false,
    });
  });

  test('that finds the guest forbids the access is the guest’s page fault', () => {
    const partition = guest(mapped('mov [rdi + 0x1000], eax'), { ...tier, exitsKept: 10 });
    partition.secondLevel.setPermissions(0x60_0000n, 0x10_0000n, NOTHING);
    processorOf(partition).debugExceptions = 1 << 14;
    const stop = partition.run({ instructions: 100 });
    expect(stop).toMatchObject({ kind: 'exception', exit: { vector: 14, errorCode: 2, payload: 0x80_0000_2234n } });
  });
});

test('loads of PDPTEs have no linear address', () => {
  const partition = guest(`bits 32
_start:
    mov dword [0x700000], 0x701001
    mov dword [0x701000], 0x83
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov eax, 0x700000
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp $
`);
  partition.secondLevel.setPermissions(0x70_0000n, 0x1000n, ALL);
  partition.run({ instructions: 2 });
  partition.secondLevel.setPermissions(0x70_0000n, 0x1000n, NOTHING);
  const exit = stopAt(partition, 'second-level-violation');
  expect(exit).toMatchObject({ gpa: 0x70_0000n, gva: undefined, access: 'read', duringWalk: true });
  expect(vmxQualification(exit)).toBe(1n);
  expect(processorOf(partition).state.cr0 & 0x8000_0000n).toBe(0n);
});

describe('events whose delivery is refused', () => {
  const HANDLER = `bits 64
_start:
    mov ecx, 3
    lea rax, [rel taken]
    call gate
    mov ecx, 6
    lea rax, [rel taken]
    call gate
    mov ecx, 0x40
    lea rax, [rel tick]
    call gate
    call load_idt
    mov esp, 0x602008
`;
  const TAKEN = `
taken:
    inc dword [rel count]
    add qword [rsp], 2
    iretq
tick:
    inc dword [rel count]
    mov edi, 0xfee00000
    mov dword [rdi + 0xb0], 0
    iretq
count: dd 0
${ROUTINES}${IDT}`;

  test.each(['ud2', 'int3\n    nop'])('are delivered once it is allowed: %s', (instruction) => {
    const bytes = instruction === 'ud2' ? 'ud2' : 'int3';
    const partition = guest(`${HANDLER}
    ${instruction}
    mov eax, [rel count]
    mov esp, 0x80000
    call hex
    jmp off
${bytes === 'int3' ? TAKEN.replace('add qword [rsp], 2', 'nop') : TAKEN}`);
    // The frame crosses from the page at 0x602000 into the one below: what is pushed first is in a page that may be written.
    partition.secondLevel.setPermissions(0x60_1000n, 0x1000n, READ_ONLY);
    const exit = stopAt(partition, 'second-level-violation');
    expect(exit).toMatchObject({ gpa: 0x60_1ff8n, access: 'write' });
    expect(processorOf(partition).state.gpr(RSP)).toBe(0x60_2008n);
    const before = registers(partition);
    partition.secondLevel.setPermissions(0x60_1000n, 0x1000n, ALL);
    expect(before).toEqual(registers(partition));
    expect(runToEnd(partition).text).toBe('0000000000000001\n');
  });

  test('are not lost when they came from outside', () => {
    const partition = guest(`${HANDLER}
    mov edi, 0xfee00000
    mov dword [rdi + 0xf0], 0x1ff
    mov dword [rdi + 0x3e0], 0xb
    mov dword [rdi + 0x320], 0x40
    mov dword [rdi + 0x380], 1000
    sti
.wait:
    cmp dword [rel count], 0
    je .wait
    mov esp, 0x80000
    mov eax, [rel count]
    call hex
    jmp off
${TAKEN}`);
    partition.secondLevel.setPermissions(0x60_1000n, 0x1000n, READ_ONLY);
    expect(stopAt(partition, 'second-level-violation')).toMatchObject({ gpa: 0x60_1ff8n, instructionLength: 0 });
    partition.secondLevel.setPermissions(0x60_1000n, 0x1000n, ALL);
    expect(runToEnd(partition).text).toBe('0000000000000001\n');
  });
});

describe('breakpoints', () => {
  const CALLS = `bits 64
_start:
    mov edi, 0x600000
    mov dword [rdi], 0xc39090
    call rdi
    jmp off
${ROUTINES}`;

  test('of an instruction that can’t be fetched come when it can', () => {
    const partition = guest(CALLS);
    processorOf(partition).setBreakpoints(new Set([PAGE]));
    partition.secondLevel.setPermissions(PAGE, 0x1000n, { ...ALL, execute: false });
    stopAt(partition, 'second-level-violation');
    partition.secondLevel.setPermissions(PAGE, 0x1000n, ALL);
    expect(partition.run({ instructions: 10 })).toMatchObject({ kind: 'breakpoint' });
    expect(processorOf(partition).state.rip).toBe(PAGE);
  });

  test('of an instruction whose access is refused come once', () => {
    const partition = guest(CALLS);
    const processor = processorOf(partition);
    // The store to 0x600000.
    const store = 0x10_0005n;
    processor.setBreakpoints(new Set([store]));
    partition.secondLevel.setPermissions(PAGE, 0x1000n, READ_ONLY);
    expect(partition.run({ instructions: 10 })).toMatchObject({ kind: 'breakpoint' });
    processor.resumePast('breakpoint');
    expect(stopAt(partition, 'second-level-violation').rip).toBe(store);
    partition.secondLevel.setPermissions(PAGE, 0x1000n, ALL);
    expect(runToEnd(partition).end.kind).toBe('power-off');
  });
});

describe('what becomes of a refused access', () => {
  const WRITE = `bits 64
_start:
    mov edi, 0x600000
    mov dword [rdi], 1
    jmp off
${ROUTINES}`;

  test.each(['kvm', 'bare'] as const)('ends the guest on %s with a sentence that says what was forbidden', (platform) => {
    const partition = guest(WRITE, { platform });
    partition.secondLevel.setPermissions(PAGE, 0x1000n, READ_ONLY);
    const { end } = runToEnd(partition);
    expect(end.kind).toBe('crash');
    expect(end.message).toMatch(
      /^vCPU 0 at RIP 0x100005 tried to write at guest physical address 0x600000, linear address 0x600000, but its second-level map allows only reading there\.$/,
    );
  });

  test.each([
    ['intel', 48, 0x400, 'kvm-intel handle_ept_violation', '0x18a'],
    ['amd', 48, 0x400, 'kvm-amd npf_interception', '0x100000007'],
  ] as const)('is in the journal of an %s partition with its numbers', (vendor, vmx, svm, handler, qualification) => {
    const partition = guest(WRITE, { vendor });
    partition.secondLevel.setPermissions(PAGE, 0x1000n, READ_ONLY);
    expect(runToEnd(partition).records.at(-1)).toMatchObject({
      reason: 'second-level-violation',
      vmx,
      svm,
      handler,
      qualification,
      request: 'write 0x600000',
      result: 'forbidden',
    });
  });

  test.each([
    ['intel', 49, '0x0'],
    ['amd', 49, '0x10000000f'],
  ] as const)('is a misconfiguration where the entry of an %s partition is misconfigured', (vendor, vmx, qualification) => {
    const partition = guest(WRITE, { vendor });
    partition.secondLevel.misconfigure(PAGE, 0x1000n);
    const { end, records } = runToEnd(partition);
    expect(end.message).toContain('its second-level entry there is misconfigured');
    expect(records.at(-1)).toMatchObject({ reason: 'second-level-misconfiguration', vmx, qualification });
  });

  test('goes to the devices where RAM was made device memory', () => {
    const partition = guest(`bits 64
_start:
    mov edi, 0x600000
    mov dword [rdi], 0x1234
    mov eax, [rdi]
    call hex
    jmp off
${ROUTINES}`);
    partition.secondLevel.setMmio(PAGE, 0x1000n);
    const { text, records } = runToEnd(partition);
    expect(text).toBe('00000000ffffffff\n');
    expect(records.filter(({ reason }) => reason === 'mmio').map(({ request }) => request)).toEqual([
      'write 0x600000, 0x00001234',
      'read 0x600000 (4 bytes)',
    ]);
    expect([...partition.memory.read(PAGE, 2)]).toEqual([0, 0]);
  });

  test('is refused in a hole too, where its entries are misconfigured', () => {
    const partition = guest(WRITE.replace('0x600000', '0xd0000000'));
    partition.secondLevel.misconfigure(0xd000_0000n, 0x1000n);
    expect(stopAt(partition, 'second-level-misconfiguration')).toMatchObject({ gpa: 0xd000_0000n, access: 'write' });
  });
});
