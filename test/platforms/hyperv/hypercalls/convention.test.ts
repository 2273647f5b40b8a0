import { describe, expect, test } from 'vitest';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import { VECTOR_SIZE, VECTORS } from '../../../../src/processor/state/layout.ts';
import { guest, IDT, ROUTINES, runToEnd } from '../../run-guest.ts';
import { Caller, control, INPUT } from './caller.ts';

describe.each([
  ['intel', 64],
  ['intel', 32],
  ['amd', 64],
  ['amd', 32],
] as const)('on %s, from %s-bit code, a call', (vendor, mode) => {
  const caller = new Caller(vendor, mode);
  const status = (word: bigint, input?: bigint, output?: bigint) => caller.call(word, input, output).status;

  test('that does not exist says so', () => {
    const { status: given, record } = caller.call(control(0x3ff));
    expect(given).toBe(HvStatus.INVALID_HYPERCALL_CODE);
    expect(record.result).toBe('HV_STATUS_INVALID_HYPERCALL_CODE: there is no call of this code');
    expect(record.request).toBe(`${vendor === 'intel' ? 'vmcall' : 'vmmcall'} hypercall 1023`);
  });

  test('needs its privilege before anything else is said of it', () => {
    expect(status(control(0x40, { reps: 3 }), 1n)).toBe(HvStatus.ACCESS_DENIED);
  });

  test.each([
    ['a simple call with a list', control(0x5d, { fast: true, reps: 1 })],
    ['a simple call that starts in a list', control(0x5d, { fast: true, start: 1 })],
    ['a rep call without a list', control(0x03)],
    ['a rep call that starts at its end', control(0x03, { reps: 2, start: 2 })],
    ['a variable part of a call without one', control(0x5d, { fast: true, variable: 1 })],
    ['a nested call', control(0x5d, { fast: true, nested: true })],
    ['bit 27', control(0x5d, { fast: true }) | (1n << 27n)],
    ['bit 47', control(0x5d, { fast: true }) | (1n << 47n)],
    ['bit 63', control(0x5d, { fast: true }) | (1n << 63n)],
  ])('is no call with %s', (_, word) => {
    expect(status(word)).toBe(HvStatus.INVALID_HYPERCALL_INPUT);
  });

  test.each([
    ['not aligned to 8 bytes', INPUT + 4n],
    ['across the end of a page', INPUT + 0xff8n],
    ['beyond the address space', 1n << 45n],
  ])('has no input %s', (_, input) => {
    expect(status(control(0x02), input)).toBe(HvStatus.INVALID_ALIGNMENT);
  });

  test('has no output across the end of a page', () => {
    expect(status(control(0x50, { reps: 3 }), INPUT, INPUT + 0xfe0n)).toBe(HvStatus.INVALID_ALIGNMENT);
  });

  test('whose input is no memory ends the guest, with the reason', () => {
    expect(() => new Caller(vendor, mode).call(control(0x02), 0xd000_0000n)).toThrow(
      "but the hypervisor can't read its input at guest physical address 0xd0000000: there is no memory.",
    );
  });

  test('changes no register but its result', () => {
    const before = Array.from({ length: 16 }, (_, index) => caller.processor.state.gpr(index));
    caller.call(control(0x3ff), 0n, 0n);
    const changed = before.flatMap((value, index) => (caller.processor.state.gpr(index) === value ? [] : [index]));
    expect(changed.filter((index) => ![0, 1, 2, 3, 6, 7, 8].includes(index))).toEqual([]);
  });

  test('in registers takes 16 bytes in general ones, and up to 112 with XMM0 to XMM5', () => {
    // Three VP registers: a header of 16 bytes, then their numbers in XMM0.
    const { state } = caller.processor;
    const vp = 0xffff_fffen;
    state.set64(VECTORS, 0x2_0003n | (0x2_0005n << 32n));
    state.set64(VECTORS + 8, 0x2_0010n);
    state.setGpr(5, 0x1234n);
    const rip = caller.processor.state.rip;
    const word = control(0x50, { fast: true, reps: 3 });
    expect(caller.call(word, 0xffff_ffff_ffff_ffffn, vp)).toMatchObject({ status: HvStatus.SUCCESS, reps: 3 });
    // Input takes 28 bytes, and output begins behind them at a multiple of 16: in XMM1.
    expect(state.get64(VECTORS + 2 * VECTOR_SIZE)).toBe(0x1234n);
    expect(state.get64(VECTORS + 3 * VECTOR_SIZE)).toBe(rip);
    expect(status(control(0x50, { fast: true, reps: 6 }), 0n, vp)).toBe(HvStatus.INVALID_HYPERCALL_INPUT);
    expect(status(control(0x5c, { fast: true }))).toBe(HvStatus.INVALID_HYPERCALL_INPUT);
  });
});

const enablePage = `
    mov ecx, 0x40000000
    mov eax, 1
    xor edx, edx
    wrmsr
    mov ecx, 0x40000001
    mov eax, 0x280001
    wrmsr
`;
/** Runs code that may meet #UD; what it prints last is R9, in which they are counted. */
const trapped = (vendor: 'intel' | 'amd', body: string) =>
  runToEnd(
    guest(
      `
  bits 64
  _start:
    mov rsp, 0x80000
    call load_idt
    mov ecx, 6
    lea rax, [rel undefined]
    call gate
    ${body}
    mov rax, r9
    call hex
    jmp off
  undefined:
    inc r9
    add qword [rsp], 3
    iretq
  ${ROUTINES}
  ${IDT}
`,
      { platform: 'hyperv', vendor },
    ),
  );
const CALL = 'mov ecx, 0x1005d\nmov edx, 0x99';

describe.each([
  ['intel', 'vmcall', 'vmmcall'],
  ['amd', 'vmmcall', 'vmcall'],
] as const)('on %s', (vendor, own, other) => {
  test('there are no hypercalls before the page is enabled, nor with the other vendor’s instruction', () => {
    const { text, records } = trapped(vendor, `${CALL}\n${own}\n${enablePage}${CALL}\n${other}\n${CALL}\n${own}`);
    expect(text).toBe('0000000000000002\n');
    expect(records.filter(({ reason }) => reason === 'hypercall').map(({ result }) => result)).toEqual([
      '#UD: the hypercall page is not enabled',
      `#UD: ${other} is the other vendor's instruction`,
      'HV_STATUS_INVALID_CONNECTION_ID: the partition has no connection 0x99',
    ]);
  });

  test('the hypercall page has the right instruction', () => {
    const { text, records } = trapped(vendor, `${enablePage}${CALL}\nmov ebx, 0x280000\ncall rbx\nmov r9, rax`);
    expect(text).toBe('0000000000000012\n');
    expect(records.filter(({ reason }) => reason === 'hypercall')).toMatchObject([
      { request: `${own} HvCallSignalEvent(connection 0x99, flag 0)`, handler: expect.stringContaining('hypercall') },
    ]);
  });
});

/** Flushes 400 ranges with a timer running: its interrupts come between the rounds of the one call. */
const INTERRUPTED = `
  bits 64
  _start:
    mov rsp, 0x80000
    call load_idt
    mov ecx, 0x40
    lea rax, [rel tick]
    call gate
    ${enablePage}
    mov ebx, 0xfee00000
    mov dword [rbx + 0xf0], 0x1ff
    mov dword [rbx + 0x320], 0x20040
    mov dword [rbx + 0x3e0], 0xb
    mov dword [rbx + 0x380], 60000
    sti
    mov qword [rel list + 8], 1
    mov rcx, 0x3 | 400 << 32
    lea rdx, [rel list]
    lea r12, [rel again]
  again:
    vmcall
    cli
    call hex
    mov rax, r9
    call hex
    jmp off
  tick:
    cmp [rsp], r12
    jne elsewhere
    inc r9
  elsewhere:
    mov dword [rbx + 0xb0], 0
    iretq
  ${ROUTINES}
  ${IDT}
  align 4096
  list: times 512 dq 0
`;

test('interrupts come between the rounds of a call, which goes on behind them', () => {
  const { text, records } = runToEnd(guest(INTERRUPTED, { platform: 'hyperv', vendor: 'intel' }));
  const [result, interrupts] = text.split('\n');
  expect(result).toBe('0000019000000000');
  expect(Number.parseInt(interrupts ?? '', 16)).toBeGreaterThan(3);
  const calls = records.filter(({ reason }) => reason === 'hypercall');
  expect(calls.map(({ result }) => result)).toEqual([
    ...[64, 128, 192, 256, 320, 384].map((done) => `continued behind ${done} of 400`),
    'HV_STATUS_SUCCESS, 400 done',
  ]);
});
