import { describe, expect, test } from 'vitest';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import { Caller, control, INPUT } from './caller.ts';

describe.each([
  ['intel', 64],
  ['intel', 32],
  ['amd', 64],
  ['amd', 32],
] as const)('on %s, from %s-bit code, a call', (vendor, mode) => {
  const status = (word: bigint, input?: bigint, output?: bigint) => new Caller(vendor, mode).call(word, input, output).status;

  test('that does not exist says so', () => {
    const { status, record } = new Caller(vendor, mode).call(control(0x3ff));
    expect(status).toBe(HvStatus.INVALID_HYPERCALL_CODE);
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
    const caller = new Caller(vendor, mode);
    const before = Array.from({ length: 16 }, (_, index) => caller.processor.state.gpr(index));
    caller.call(control(0x3ff), 0n, 0n);
    const changed = before.flatMap((value, index) => (caller.processor.state.gpr(index) === value ? [] : [index]));
    expect(changed.filter((index) => ![0, 1, 2, 3, 6, 7, 8].includes(index))).toEqual([]);
  });
});
