import { describe, expect, test } from 'vitest';
import { ParentCaller } from './parent-caller.ts';

const Status = {
  OK: 0,
  ALIGNMENT: 4,
  PARAMETER: 5,
  DENIED: 6,
  STATE: 7,
  UNKNOWN_PROPERTY: 9,
  RANGE: 0xa,
  MEMORY: 0xb,
  ID: 0xd,
  VP: 0xe,
  IN_USE: 0x19,
  NO_RESOURCES: 0x1d,
};

describe.each(['intel', 'amd'] as const)('the life of a partition that a guest makes, on %s', (vendor) => {
  test('goes from created to active to finalized to gone', () => {
    const parent = new ParentCaller(vendor);
    expect(parent.platform.partitionId).toBe(1n);
    const child = parent.create();
    expect(child).toBe(2n);
    expect(parent.simple(0x47, [1, 8], [0, 8])).toBe(Status.OK);
    expect(parent.answer()).toBe(2n);
    expect(parent.simple(0x41, [child, 8])).toBe(Status.MEMORY);
    expect(parent.deposit(child, 0x300, 8)).toEqual({ status: Status.OK, reps: 8 });
    expect(parent.simple(0x41, [child, 8])).toBe(Status.OK);
    expect(parent.running(child).vcpus.every((vcpu) => !vcpu.runnable)).toBe(true);
    expect(parent.simple(0x4e, [child, 8], [0, 4], [0, 28])).toBe(Status.OK);
    expect(parent.simple(0x4a, [child, 8], [0, 8])).toBe(Status.OK);
    expect([parent.answer(), parent.answer(8)]).toEqual([2n, 6n]);
    const { partition } = parent.child(child).running ?? {};
    expect(parent.simple(0x42, [child, 8])).toBe(Status.OK);
    expect(partition?.end?.kind).toBe('destroyed');
    expect(parent.simple(0x43, [child, 8])).toBe(Status.IN_USE);
    expect(parent.list(0x49, 16, [child, 8], [0, 8])).toEqual({ status: Status.NO_RESOURCES, reps: 8 });
    expect(parent.answer()).toBe(0x307n);
    expect(parent.simple(0x43, [child, 8])).toBe(Status.OK);
    expect(parent.simple(0x42, [child, 8])).toBe(Status.ID);
    expect(parent.simple(0x47, [1, 8], [0, 8])).toBe(Status.OK);
    expect(parent.answer()).toBe(0n);
  });

  test('answers what comes in the wrong order, from the wrong caller or without alignment', () => {
    const parent = new ParentCaller(vendor);
    const child = parent.create();
    expect(parent.simple(0x43, [child, 8])).toBe(Status.STATE);
    expect(parent.simple(0x4e, [child, 8], [0, 32])).toBe(Status.STATE);
    expect(parent.map(child, 0, [0x310]).status).toBe(Status.STATE);
    parent.deposit(child, 0x300, 16);
    expect(parent.simple(0x41, [child, 8])).toBe(Status.OK);
    expect(parent.simple(0x41, [child, 8])).toBe(Status.STATE);
    expect(parent.simple(0x4e, [child, 8], [9, 4], [0, 28])).toBe(Status.VP);
    expect(parent.simple(0x4f, [child, 8], [0, 8])).toBe(Status.VP);
    expect(parent.simple(0x42, [child, 8])).toBe(Status.OK);
    expect(parent.simple(0x42, [child, 8])).toBe(Status.STATE);
    expect(parent.simple(0x41, [77, 8])).toBe(Status.ID);
    expect(parent.simple(0x41, [1, 8])).toBe(Status.DENIED);
    expect(new ParentCaller(vendor, []).simple(0x41, [child, 8])).toBe(Status.DENIED);
    expect(parent.round(0x41n, 0x20_0004n).status).toBe(Status.ALIGNMENT);
  });

  test('keeps properties, the early ones only until it is initialized', () => {
    const parent = new ParentCaller(vendor);
    const child = parent.create();
    const set = (code: number, value: bigint | number) => parent.simple(0x45, [child, 8], [code, 4], [0, 4], [value, 8]);
    expect(set(0x1_0000, 0x30_0000_0020n)).toBe(Status.OK);
    expect(set(0x1_0000, 1n << 63n)).toBe(Status.DENIED);
    expect(set(0x5_0002, 1)).toBe(Status.OK);
    expect(set(0x5_0002, 2)).toBe(Status.RANGE);
    expect(set(0x7_0000, 2)).toBe(Status.DENIED);
    expect(set(0x1234, 2)).toBe(Status.UNKNOWN_PROPERTY);
    parent.deposit(child, 0x300, 16);
    parent.simple(0x41, [child, 8]);
    expect(set(0x1_0000, 0x20n)).toBe(Status.STATE);
    expect(parent.simple(0x44, [child, 8], [0x1_0000, 4], [0, 4])).toBe(Status.OK);
    expect(parent.answer()).toBe(0x30_0000_0020n);
    expect(parent.child(child).running?.hyperv.privileges).toBe(0x30_0000_0020n);
    expect(parent.simple(0x44, [child, 8], [0x6_0005, 4], [0, 4])).toBe(Status.OK);
    expect(parent.answer()).toBe(0x609n);
  });
});

describe('the memory of a partition that a guest makes', () => {
  test("is its parent's pages: both see what is in them, and it comes back", () => {
    const parent = new ParentCaller();
    const child = parent.active();
    parent.write(0x25_0000n, Uint8Array.of(1, 2, 3, 4));
    expect(parent.map(child, 5, [0x250, 0x251])).toEqual({ status: Status.OK, reps: 2 });
    const { memory } = parent.running(child);
    expect([...memory.read(0x5000n, 4)]).toEqual([1, 2, 3, 4]);
    expect(parent.partition.memory.bytes.indexOf(4, 0x25_0000)).not.toBe(0x25_0003);
    memory.write(0x5002n, Uint8Array.of(9));
    expect([...new Uint8Array(parent.read(0x25_0000n, 4).buffer)]).toEqual([1, 2, 9, 4]);
    parent.write(0x25_0ffen, Uint8Array.of(7, 7, 7, 7));
    expect([...memory.read(0x5ffen, 4)]).toEqual([7, 7, 7, 7]);
    // Once is enough.
    expect(parent.map(child, 8, [0x250]).status).toBe(Status.PARAMETER);
    expect(parent.map(child, 5, [0x250], 1).status).toBe(Status.OK);
    expect(parent.running(child).secondLevel.lookUp(0x5000n).permissions).toEqual({ read: true, write: false, execute: false });
    expect(parent.list(0x4c, 2, [child, 8], [5, 8], [0, 8])).toEqual({ status: Status.OK, reps: 2 });
    expect([...new Uint8Array(parent.read(0x25_0000n, 4).buffer)]).toEqual([1, 2, 9, 4]);
    expect(parent.running(child).secondLevel.stateAt(0x5000n)).toBe('mmio');
    expect(memory.read(0x5000n, 4)).toEqual(new Uint8Array(4));
  });

  test('refuses what is no memory of the parent, and maps of no entry', () => {
    const parent = new ParentCaller();
    const child = parent.active();
    expect(parent.map(child, 5, [0x300]).status).toBe(Status.PARAMETER);
    expect(parent.map(child, 5, [0x8000_0000]).status).toBe(Status.PARAMETER);
    expect(parent.map(child, 0x8_0000, [0x250]).status).toBe(Status.PARAMETER);
    expect(parent.map(child, 5, [0x250], 2).status).toBe(Status.PARAMETER);
    expect(parent.deposit(child, 0x300, 1).status).toBe(Status.PARAMETER);
    expect(parent.map(child, 0xf_fff0, [0x250]).status).toBe(Status.OK);
  });

  test('comes back with what is in it when the partition ends, and its pool scrubbed', () => {
    const parent = new ParentCaller();
    parent.write(0x30_0000n, Uint8Array.of(5));
    const child = parent.active();
    parent.write(0x26_0000n, Uint8Array.of(1));
    parent.map(child, 7, [0x260]);
    parent.running(child).memory.write(0x7001n, Uint8Array.of(2));
    expect(parent.simple(0x42, [child, 8])).toBe(Status.OK);
    expect([...new Uint8Array(parent.read(0x26_0000n, 2).buffer)]).toEqual([1, 2]);
    expect(parent.list(0x49, 16, [child, 8], [0, 8]).status).toBe(Status.OK);
    expect(parent.partition.secondLevel.stateAt(0x30_0000n)).toBe('present');
    expect(parent.read(0x30_0000n, 1).getUint8(0)).toBe(0);
  });
});
