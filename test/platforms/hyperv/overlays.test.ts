import { describe, expect, test } from 'vitest';
import { hostPlace } from '../../../src/hypervisor/second-level/host-place.ts';
import { SecondLevelMap } from '../../../src/hypervisor/second-level/second-level-map.ts';
import { Overlays } from '../../../src/platforms/hyperv/overlay/overlays.ts';
import { PartitionMemory } from '../../../src/processor/memory/partition-memory.ts';

const PAGE = 0x1000n;

function setUp(vendor: 'intel' | 'amd' = 'intel') {
  const memory = new PartitionMemory(
    [
      { gpa: 0n, length: 0xa_0000 },
      { gpa: 0xc_0000n, length: 0x14_0000 },
    ],
    1,
  );
  const map = new SecondLevelMap(memory, hostPlace(0), { vendor });
  memory.write(0x5000n, Uint8Array.of(1, 2, 3));
  const overlays = new Overlays(map);
  const first = overlays.make('first page', { writable: true });
  const second = overlays.make('second page', { writable: false });
  first.write(0, Uint8Array.of(11, 12));
  second.write(0, Uint8Array.of(21, 22));
  return { memory, map, overlays, first, second };
}

const bytes = (memory: PartitionMemory, gpa: bigint) => [...memory.read(gpa, 2)];

describe('overlay pages', () => {
  test.each(['intel', 'amd'] as const)('cover a page and give it back as it was, with its rights, on %s', (vendor) => {
    const { memory, map, second } = setUp(vendor);
    expect(second.place(0x5000n)).toBe(true);
    expect(bytes(memory, 0x5000n)).toEqual([21, 22]);
    expect(map.lookUp(0x5000n).permissions).toEqual({ read: true, write: false, execute: true });
    second.remove();
    expect(bytes(memory, 0x5000n)).toEqual([1, 2]);
    expect(map.lookUp(0x5000n).permissions).toEqual({ read: true, write: true, execute: true });
    expect(second.gpa).toBeUndefined();
  });

  test('keep what the guest and the hypervisor write to them, wherever they lie', () => {
    const { memory, first } = setUp();
    first.place(0x5000n);
    memory.write(0x5001n, Uint8Array.of(99));
    first.place(0x6000n);
    expect(bytes(memory, 0x5000n)).toEqual([1, 2]);
    expect(bytes(memory, 0x6000n)).toEqual([11, 99]);
    first.remove();
    first.write(0, Uint8Array.of(50));
    expect([...first.read(0, 2)]).toEqual([50, 99]);
    expect(bytes(memory, 0x6000n)).toEqual([0, 0]);
  });

  test('lie on one another, and each goes on its own', () => {
    const { memory, map, overlays, first, second } = setUp();
    first.place(0x5000n);
    second.place(0x5000n);
    expect(overlays.at(0x5123n)?.name).toBe('second page');
    first.write(0, Uint8Array.of(70));
    expect(bytes(memory, 0x5000n)).toEqual([21, 22]);
    second.remove();
    expect(bytes(memory, 0x5000n)).toEqual([70, 12]);
    expect(map.lookUp(0x5000n).permissions.write).toBe(true);
    second.place(0x5000n);
    first.remove();
    expect(bytes(memory, 0x5000n)).toEqual([21, 22]);
    second.remove();
    expect(bytes(memory, 0x5000n)).toEqual([1, 2]);
    expect(overlays.at(0x5000n)).toBeUndefined();
  });

  test('are where no RAM is, too, as long as there is memory to spare', () => {
    const { memory, map, overlays, first } = setUp();
    const gpa = 0x8000_0000n;
    expect(first.place(gpa)).toBe(true);
    expect(bytes(memory, gpa)).toEqual([11, 12]);
    expect(overlays.inspect().children).toEqual([
      { name: '0x80000000', value: 'first page', detail: 'over no RAM', memory: { space: 'gpa', address: gpa } },
    ]);
    first.remove();
    expect(memory.locate(gpa)).toBeUndefined();
    expect(map.stateAt(gpa)).toBe('mmio');
    const many = Array.from({ length: 40 }, (_, index) => overlays.make(`page ${index}`, { writable: true }));
    const placed = many.filter((page, index) => page.place(gpa + BigInt(index) * PAGE));
    expect(placed).toHaveLength(32);
    for (const page of placed) page.remove();
    expect(first.place(gpa)).toBe(true);
  });

  test('can only be at whole pages of the address space', () => {
    const { first } = setUp();
    for (const gpa of [0x5001n, -0x1000n, 1n << 40n, (1n << 40n) - 0x1000n + 0x1000n, 1n << 51n])
      expect(first.place(gpa)).toBe(false);
    expect(first.gpa).toBeUndefined();
  });

  test('give memory to a page that has none', () => {
    const { memory, map, first } = setUp();
    map.pageOut(0x5000n, PAGE);
    first.place(0x5000n);
    expect(bytes(memory, 0x5000n)).toEqual([11, 12]);
    first.remove();
    expect(bytes(memory, 0x5000n)).toEqual([1, 2]);
    map.balloon(0x7000n, PAGE);
    expect(first.place(0x7000n)).toBe(true);
    expect(bytes(memory, 0x7000n)).toEqual([11, 12]);
  });

  test('are all gone after a reset', () => {
    const { memory, overlays, first, second } = setUp();
    first.place(0x8000_0000n);
    second.place(0x5000n);
    overlays.reset();
    expect(memory.locate(0x8000_0000n)).toBeUndefined();
    expect(first.gpa).toBeUndefined();
    expect([...second.read(0, 2)]).toEqual([0, 0]);
    expect(() => first.read(4095, 2)).toThrow(RangeError);
  });
});
