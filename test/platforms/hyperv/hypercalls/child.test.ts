import { describe, expect, test } from 'vitest';
import { HvStatus } from '../../../../src/platforms/hyperv/abi/status.ts';
import { ParentCaller } from '../partitions/parent-caller.ts';
import { OUTPUT } from './caller.ts';

/** Calls that name a partition which the caller has made. */
describe('calls about a child', () => {
  const parent = new ParentCaller('intel', ['create-partitions']);
  const id = parent.active();
  const child = parent.running(id);
  parent.map(id, 0, [0x320, 0x321]);
  const [processor] = child.processors;
  const get = (register: number) => parent.list(0x50, 1, [id, 8], [0, 4], [0, 4], [register, 4]);
  const set = (register: number, low: bigint, high = 0n) =>
    parent.list(0x51, 1, [id, 8], [0, 4], [0, 4], [register, 4], [0, 12], [low, 8], [high, 8]);

  test('read and write its registers', () => {
    expect(set(0x2_0010, 0x1000n)).toEqual({ status: HvStatus.SUCCESS, reps: 1 });
    expect(processor?.state.rip).toBe(0x1000n);
    expect(get(0x2_0010).status).toBe(HvStatus.SUCCESS);
    expect(parent.answer()).toBe(0x1000n);
  });

  test('read and write its memory, which the parent has mapped there', () => {
    expect(parent.simple(0x54, [id, 8], [0, 4], [8, 4], [0x1008, 8], [0, 8], [0xfeedn, 16])).toBe(HvStatus.SUCCESS);
    expect(parent.read(0x32_1008n, 8).getBigUint64(0, true)).toBe(0xfeedn);
    expect(parent.simple(0x53, [id, 8], [0, 4], [8, 4], [0x1008, 8], [0, 8])).toBe(HvStatus.SUCCESS);
    expect([parent.answer() & 0xffff_ffffn, parent.answer(8)]).toEqual([0n, 0xfeedn]);
    expect(parent.simple(0x53, [id, 8], [0, 4], [8, 4], [0x9000, 8], [0, 8])).toBe(HvStatus.SUCCESS);
    expect(parent.answer() & 0xffff_ffffn).toBe(1n);
  });

  test('translate by its tables', () => {
    expect(parent.simple(0x52, [id, 8], [0, 4], [0, 4], [1, 8], [1, 8])).toBe(HvStatus.SUCCESS);
    expect(parent.read(OUTPUT, 16).getBigUint64(8, true)).toBe(1n);
  });

  test('send it interrupts', () => {
    const [apic] = child.devices.localApics;
    apic?.writeMmio(0xfee0_00f0n, 4, 0x1ffn);
    expect(parent.simple(0x94, [id, 8], [0, 4], [0, 4], [0, 8], [0x51, 4], [0, 4])).toBe(HvStatus.SUCCESS);
    expect(apic?.highestRequest).toBe(0x51);
    expect(parent.simple(0x94, [id, 8], [0, 4], [0, 4], [7, 8], [0x51, 4], [0, 4])).toBe(HvStatus.INVALID_PARAMETER);
    expect(parent.simple(0x94, [id, 8], [7, 4], [0, 4], [0, 8], [0, 8])).toBe(HvStatus.INVALID_PARAMETER);
    expect(parent.simple(0x56, [id, 8])).toBe(HvStatus.ACKNOWLEDGED);
  });

  test('are refused where it has no such vCPU, or is no child', () => {
    expect(parent.list(0x50, 1, [id, 8], [1, 4], [0, 4], [0x2_0010, 4]).status).toBe(HvStatus.INVALID_VP_INDEX);
    expect(parent.list(0x50, 1, [99, 8], [0, 4], [0, 4], [0x2_0010, 4]).status).toBe(HvStatus.INVALID_PARTITION_ID);
  });

  test('may give it registers in any order: what does not go together is found when it runs', () => {
    expect(set(0x8_0001, 0x500n).status).toBe(HvStatus.SUCCESS);
    expect(set(0x0, 0n).status).toBe(HvStatus.SUCCESS);
    child.run({ instructions: 1 });
    expect(child.journal.latest(1)).toMatchObject([{ reason: 'vm-entry-failure', request: expect.stringContaining('EFER.LMA') }]);
    expect(child.end).toBeUndefined();
    expect(child.vcpus[0]?.suspended).toBe(true);
  });
});
