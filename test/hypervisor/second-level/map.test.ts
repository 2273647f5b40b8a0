import { describe, expect, test } from 'vitest';
import { eptPointer, eptWalk } from '../../../src/hypervisor/second-level/ept.ts';
import { hostPlace } from '../../../src/hypervisor/second-level/host-place.ts';
import { nptWalk } from '../../../src/hypervisor/second-level/npt.ts';
import { SecondLevelMap } from '../../../src/hypervisor/second-level/second-level-map.ts';
import { memoryMap } from '../../../src/platforms/memory-map.ts';
import { PartitionMemory } from '../../../src/processor/memory/partition-memory.ts';
import { Need } from '../../../src/processor/memory/second-level.ts';

const MIB = 2 ** 20;
const ALL = { read: true, write: true, execute: true };
const place = hostPlace(0);

function mapOf(bytes = 8 * MIB, vendor: 'intel' | 'amd' = 'intel') {
  return new SecondLevelMap(new PartitionMemory(memoryMap(bytes).ram, 1), place, { vendor });
}

const sizes = (map: SecondLevelMap, ...gpas: readonly number[]) => gpas.map((gpa) => Number(map.lookUp(BigInt(gpa)).size));

describe('a second-level map', () => {
  test('has all RAM at first, in pages as large as holes and alignment allow', () => {
    const map = mapOf(2048 * MIB);
    expect(sizes(map, 0x1000, 0xc_0000, 0x20_0000, 0x3fff_f000, 0x4000_0000, 0x7fff_ffff)).toEqual([
      0x1000, 0x1000, 0x20_0000, 0x20_0000, 0x4000_0000, 0x4000_0000,
    ]);
    expect(map.lookUp(0x20_1234n)).toMatchObject({
      gpa: 0x20_0000n,
      spa: place.ram + 0x20_0000n,
      permissions: ALL,
      memoryType: 'WB',
    });
  });

  test('has nothing but devices in holes, as far up as there is nothing', () => {
    const map = mapOf();
    expect(map.lookUp(0xa_0000n)).toMatchObject({ state: 'mmio', size: 0x1000n, spa: undefined });
    expect(map.lookUp(0x80_0000n).size).toBe(0x20_0000n);
    expect(map.lookUp(0xfee0_0000n).size).toBe(0x4000_0000n);
    expect(map.lookUp(0x80_0000_0000n).size).toBe(0x80_0000_0000n);
  });

  test('can have other parts of its memory as RAM, at other addresses', () => {
    const map = mapOf(4 * MIB);
    const { memory } = map;
    const start = memory.regions[0]?.offset ?? 0;
    for (const { gpa } of memory.regions) map.removeRam(gpa);
    expect(map.lookUp(0n).state).toBe('mmio');
    map.addRam({ gpa: 0x1000_0000n, offset: start + 0x1000, length: 0x2000 });
    map.addRam({ gpa: 0xffff_f000n, offset: start + 0x4000, length: 0x1000 }, true);
    memory.write(0x1000_0004n, Uint8Array.of(7));
    expect(memory.bytes[start + 0x1004]).toBe(7);
    expect(map.lookUp(0x1000_1000n)).toMatchObject({ state: 'present', spa: place.ram + 0x2000n, permissions: ALL });
    expect(map.lookUp(0x1000_2000n).state).toBe('mmio');
    map.removeRam(0x1000_0000n);
    expect(map.lookUp(0x1000_0000n).state).toBe('mmio');
    expect(memory.bytes[start + 0x1004]).toBe(7);
  });

  test('has devices answer writes to what may only be read, whatever is done to it', () => {
    const map = mapOf(4 * MIB);
    const start = map.memory.regions[0]?.offset ?? 0;
    for (const { gpa } of map.memory.regions) map.removeRam(gpa);
    const gpa = 0xffff_f000n;
    map.addRam({ gpa, offset: start, length: 0x1000 }, true);
    const refused = () => map.refusal({ gpa, need: Need.WRITE, gva: gpa, duringWalk: false });
    expect(map.grants(start, Need.READ)).toBe(true);
    for (const change of [
      () => {},
      () => map.setPermissions(gpa, 0x1000n, ALL),
      () => {
        map.balloon(gpa, 0x1000n);
        map.deflate(gpa, 0x1000n);
      },
    ]) {
      change();
      expect(map.grants(start, Need.WRITE)).toBe(false);
      expect(refused()).toBe('device');
    }
    expect(map.refusal({ gpa, need: Need.WALK, gva: gpa, duringWalk: true })).toMatchObject({
      reason: 'second-level-violation',
    });
  });

  test('splits a page of 1 GiB no further than it must', () => {
    const map = mapOf(2048 * MIB);
    map.setPermissions(0x4020_3000n, 0x2000n, { ...ALL, write: false });
    expect(sizes(map, 0x4000_0000, 0x4020_0000, 0x4020_3000, 0x4020_5000, 0x4040_0000)).toEqual([
      0x20_0000, 0x1000, 0x1000, 0x1000, 0x20_0000,
    ]);
    const writable = [0x4020_2000n, 0x4020_3000n, 0x4020_4000n, 0x4020_5000n].map((gpa) => map.lookUp(gpa).permissions.write);
    expect(writable).toEqual([true, false, false, true]);
  });

  test('keeps large pages that change as a whole', () => {
    const map = mapOf();
    map.setPermissions(0x20_0000n, 0x40_0000n, { ...ALL, execute: false });
    expect(sizes(map, 0x20_0000, 0x5f_f000)).toEqual([0x20_0000, 0x20_0000]);
    expect(map.lookUp(0x5f_f000n).permissions.execute).toBe(false);
    expect(map.lookUp(0x60_0000n).permissions.execute).toBe(true);
  });

  test('makes pages large again where they no longer differ', () => {
    const map = mapOf();
    map.setPermissions(0x20_5000n, 0x1000n, { ...ALL, write: false });
    map.enlarge(0x20_0000n, 0x20_0000n);
    expect(sizes(map, 0x20_0000)).toEqual([0x1000]);
    map.setPermissions(0x20_5000n, 0x1000n, ALL);
    map.enlarge(0x20_0000n, 0x20_0000n);
    expect(sizes(map, 0x20_0000)).toEqual([0x20_0000]);
  });

  test('has flags at the size of the page, and hands them to its parts', () => {
    const map = mapOf();
    const offset = map.memory.offsetOf(0x20_7000);
    expect(map.grants(offset, Need.READ)).toBe(true);
    expect(map.lookUp(0x20_0000n)).toMatchObject({ accessed: true, dirty: false });
    expect(map.grants(offset, Need.WRITE)).toBe(true);
    map.setPermissions(0x30_0000n, 0x1000n, { ...ALL, execute: false });
    expect(map.lookUp(0x20_0000n)).toMatchObject({ size: 0x1000n, accessed: true, dirty: true });
    expect(map.lookUp(0x40_0000n)).toMatchObject({ accessed: false, dirty: false });
  });

  test('refuses what has no entry', () => {
    expect(() => mapOf().setPermissions(0n, 0x1000n, { read: false, write: true, execute: true })).toThrow(
      'can be written but not read',
    );
    expect(() => mapOf().setPermissions(0n, 0x1000n, { read: false, write: false, execute: true })).not.toThrow();
    expect(() => mapOf(8 * MIB, 'amd').setPermissions(0n, 0x1000n, { read: false, write: false, execute: true })).toThrow(
      'NPT has no pages',
    );
    expect(() => mapOf().balloon(0x10n, 0x1000n)).toThrow('not made of whole pages');
    expect(() => mapOf().misconfigure((1n << 40n) - 0x1000n, 0x2000n)).toThrow('40 bits');
  });

  test('scrubs what is taken away, and gives it back empty', () => {
    const map = mapOf();
    map.memory.write(0x10_0000n, Uint8Array.from([1, 2, 3]));
    map.balloon(0x10_0000n, 0x3000n);
    expect(map.lookUp(0x10_0000n)).toMatchObject({ state: 'ballooned', spa: undefined });
    expect([...map.memory.read(0x10_0000n, 3)]).toEqual([0, 0, 0]);
    map.deflate(0x10_1000n, 0x1000n);
    expect(['0x100000', '0x101000', '0x102000'].map((gpa) => map.lookUp(BigInt(gpa)).state)).toEqual([
      'ballooned',
      'present',
      'ballooned',
    ]);
    expect(map.lookUp(0x10_1000n)).toMatchObject({ permissions: ALL, accessed: false, dirty: false });
  });

  test('gives memory to a page that a device or the hypervisor writes to', () => {
    const map = mapOf();
    map.balloon(0x10_0000n, 0x2000n);
    map.memory.write(0x10_0ffen, Uint8Array.from([7]));
    expect([0x10_0000n, 0x10_1000n].map((gpa) => map.lookUp(gpa).state)).toEqual(['present', 'ballooned']);
  });

  test('is as at the beginning after a reset', () => {
    const map = mapOf();
    map.balloon(0x20_0000n, 0x1000n);
    map.misconfigure(0xfee0_0000n, 0x1000n);
    map.reset();
    expect(map.lookUp(0x20_0000n)).toMatchObject({ size: 0x20_0000n, state: 'present' });
    expect(map.lookUp(0xfee0_0000n).state).toBe('mmio');
  });
});

describe('EPT entries', () => {
  test('lead from the EPTP to a page of 4 KiB', () => {
    const map = mapOf();
    map.grants(map.memory.offsetOf(0x1234), Need.WRITE);
    const { root, entries, spa } = eptWalk(map, 0x1234n);
    expect(root).toBe(place.tables | 0x5en);
    expect(entries.map(({ level }) => level)).toEqual(['PML4E', 'PDPTE', 'PDE', 'PTE']);
    // Each entry is in the table that the one above it leads to.
    for (const [index, entry] of entries.slice(1).entries()) expect(entry.address & ~0xfffn).toBe(entries[index]?.next);
    expect(entries[0]?.address).toBe(place.tables);
    expect(entries.slice(0, 3).map(({ value }) => value & 0xfffn)).toEqual([0x107n, 0x107n, 0x107n]);
    expect(entries[3]).toMatchObject({
      value: (place.ram + 0x1000n) | 0x377n,
      bits: ['R', 'W', 'X', 'WB', 'IPAT', 'A', 'D'],
      next: place.ram + 0x1000n,
    });
    expect(entries[3]?.address).toBe((entries[2]?.next ?? 0n) + 8n);
    expect(spa).toBe(place.ram + 0x1234n);
  });

  test('end where a large page is', () => {
    const map = mapOf(2048 * MIB);
    const large = eptWalk(map, 0x20_3456n);
    expect(large.entries.at(-1)).toMatchObject({ level: 'PDE', value: (place.ram + 0x20_0000n) | 0xf7n });
    expect(large.entries.at(-1)?.bits).toEqual(['R', 'W', 'X', 'WB', 'IPAT', 'PS']);
    expect(large.spa).toBe(place.ram + 0x20_3456n);
    const huge = eptWalk(map, 0x4123_4567n);
    expect(huge.entries.at(-1)).toMatchObject({ level: 'PDPTE', next: place.ram + 0x4000_0000n });
    expect(huge.spa).toBe(place.ram + 0x4123_4567n);
  });

  test('say rights, memory types and flags in their bits', () => {
    const map = mapOf();
    const entry = () => (eptWalk(map, 0x3000n).entries[3]?.value ?? 0n) & 0xfffn;
    map.setPermissions(0x3000n, 0x1000n, { read: false, write: false, execute: true });
    expect(entry()).toBe(0x74n);
    map.setPermissions(0x3000n, 0x1000n, { read: true, write: false, execute: false });
    map.setMemoryType(0x3000n, 0x1000n, 'UC');
    expect(entry()).toBe(0x41n);
    map.setMemoryType(0x3000n, 0x1000n, 'WC');
    expect(eptWalk(map, 0x3000n).entries[3]?.bits).toEqual(['R', 'WC', 'IPAT']);
  });

  test('are empty where nothing is, and write-only where they are misconfigured', () => {
    const map = mapOf();
    map.balloon(0x4000n, 0x1000n);
    map.misconfigure(0x5000n, 0x1000n);
    expect(eptWalk(map, 0x4000n)).toMatchObject({ spa: undefined, problem: expect.stringContaining('balloon') });
    expect(eptWalk(map, 0x4000n).entries[3]).toMatchObject({ value: 0n, bits: [], next: undefined });
    expect(eptWalk(map, 0x5000n).entries[3]).toMatchObject({ value: 0x5006n });
    expect(eptWalk(map, 0xfee0_0000n)).toMatchObject({ problem: expect.stringContaining('devices answer') });
    expect(eptWalk(map, 0xfee0_0000n).entries.map(({ level, value }) => [level, value & 7n])).toEqual([
      ['PML4E', 7n],
      ['PDPTE', 0n],
    ]);
    map.misconfigure(0xfee0_0000n, 0x1000n);
    expect(eptWalk(map, 0xfee0_0000n).entries.at(-1)).toMatchObject({ level: 'PTE', value: 0xfee0_0006n });
    expect(eptWalk(map, 1n << 45n)).toMatchObject({ problem: expect.stringContaining('40 bits') });
  });

  test('have no flags where the map has none', () => {
    const map = new SecondLevelMap(new PartitionMemory([{ gpa: 0n, length: MIB }], 1), place, {
      vendor: 'intel',
      hasFlags: false,
    });
    map.grants(map.memory.offsetOf(0), Need.WRITE);
    expect(eptPointer(map) & 0x40n).toBe(0n);
    expect((eptWalk(map, 0n).entries[3]?.value ?? 0n) & 0x300n).toBe(0n);
  });
});

describe('NPT entries', () => {
  test('are long-mode entries with user rights, at the places where those of EPT are', () => {
    const map = mapOf();
    map.grants(map.memory.offsetOf(0x1234), Need.WRITE);
    const walk = nptWalk(map, 0x1234n);
    expect(walk.root).toBe(place.tables);
    expect(walk.entries.map(({ address, next }) => [address, next])).toEqual(
      eptWalk(map, 0x1234n).entries.map(({ address, next }) => [address, next]),
    );
    expect(walk.entries.map(({ value }) => value & 0xfffn)).toEqual([0x27n, 0x27n, 0x27n, 0x67n]);
    expect(walk.entries[3]?.bits).toEqual(['P', 'RW', 'US', 'A', 'D']);
  });

  test('say what may be done, and large pages, in their bits', () => {
    const map = mapOf(8 * MIB, 'amd');
    map.setPermissions(0x20_0000n, 0x20_0000n, { read: true, write: false, execute: false });
    map.setMemoryType(0x20_0000n, 0x20_0000n, 'WP');
    expect(nptWalk(map, 0x20_0000n).entries.at(-1)).toMatchObject({
      level: 'PDE',
      value: (1n << 63n) | (place.ram + 0x20_0000n) | 0x108dn,
      bits: ['P', 'US', 'PWT', 'PS', 'PAT', 'NX'],
    });
    map.misconfigure(0x5000n, 0x1000n);
    expect(nptWalk(map, 0x5000n).entries[3]?.bits).toEqual(['P', 'US', 'reserved']);
    map.balloon(0x6000n, 0x1000n);
    expect(nptWalk(map, 0x6000n).entries[3]?.value).toBe(0n);
  });
});
