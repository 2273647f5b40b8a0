import { beforeEach, describe, expect, test } from 'vitest';
import { ALL_ACCESSES, checkAccess } from '../../src/debugger/paging/access-check.ts';
import { addressMap } from '../../src/debugger/paging/address-map.ts';
import { pagingControl } from '../../src/debugger/paging/control.ts';
import { translationView } from '../../src/debugger/paging/translation.ts';
import type { TableWalk } from '../../src/hypervisor/second-level/table-walk.ts';
import { createProcessor } from '../../src/processor/cpu.ts';
import { GuestFault } from '../../src/processor/faults/guest-fault.ts';
import { PartitionMemory } from '../../src/processor/memory/partition-memory.ts';
import { Mmu } from '../../src/processor/mmu/mmu.ts';
import { parseCpu } from '../../src/processor/models/parse-cpu.ts';
import type { Processor } from '../../src/processor/processor.ts';
import { Flag } from '../../src/processor/state/cpu-state.ts';
import * as L from '../../src/processor/state/layout.ts';
import { Random } from '../support/random.ts';

const ROOT = 0x1000;
const SECOND = 0x2000;
const THIRD = 0x3000;
const LAST = 0x4000;
const XD = 1n << 63n;
const Cr4 = { PSE: 1n << 4n, PAE: 1n << 5n, SMEP: 1n << 20n, SMAP: 1n << 21n, PKE: 1n << 22n };
const NXE = 0x800n;

let memory: PartitionMemory;
let processor: Processor;

beforeEach(() => start());

function start(cpu = 'max', vendor: 'intel' | 'amd' = 'intel'): void {
  memory = new PartitionMemory([{ gpa: 0n, length: 0x1_0000 }], 1);
  processor = createProcessor({ index: 0, memory, model: parseCpu(cpu, vendor), translator: {} });
}

function put(gpa: number, value: bigint, size: 4 | 8 = 8): void {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value, true);
  memory.write(BigInt(gpa), new Uint8Array(view.buffer, 0, size));
}

/** Turns paging on. */
function page(mode: '32-bit' | 'PAE' | '4-level', cr4 = 0n, efer = NXE): void {
  const { state } = processor;
  state.set64(L.CR0, 0x8001_0011n);
  state.set64(L.CR3, BigInt(ROOT));
  state.set64(L.CR4, cr4 | (mode === '32-bit' ? 0n : Cr4.PAE));
  state.set64(L.EFER, mode === '4-level' ? efer | 0x500n : efer);
  if (mode === 'PAE') new Mmu(state, memory, processor.model).loadPdptes(BigInt(ROOT));
}

const view = (address: bigint, walkSecondLevel: (gpa: bigint) => TableWalk | undefined = () => undefined) =>
  translationView({ walkSecondLevel }, processor, { space: 'gva', address });
const chain = (address: bigint) => {
  const { entries, gpa, problem } = view(address);
  return [
    ...entries.map(
      ({ name, index, gpa: at, next }) => `${name} ${index} at ${at.toString(16)}: ${next?.what} ${next?.gpa.toString(16)}`,
    ),
    gpa?.toString(16) ?? problem,
  ];
};
const fields = (address: bigint, level: number) =>
  Object.fromEntries(
    view(address).entries[level]?.fields.map(({ name, value, meaning }) => [name, `${value}: ${meaning}`]) ?? [],
  );

describe('a translation', () => {
  test('in 4-level paging has each entry with what it leads to', () => {
    page('4-level');
    put(ROOT + 8, BigInt(SECOND) | 7n);
    put(SECOND + 16, BigInt(THIRD) | 7n);
    put(THIRD + 24, BigInt(LAST) | 7n);
    put(LAST + 32, 0x5065n | XD);
    const address = (1n << 39n) | (2n << 30n) | (3n << 21n) | (4n << 12n) | 0x123n;
    expect(chain(address)).toEqual([
      'PML4E 1 at 1008: PDPT 2000',
      'PDPTE 2 at 2010: page directory 3000',
      'PDE 3 at 3018: page table 4000',
      'PTE 4 at 4020: page of 4 KiB 5000',
      '5123',
    ]);
    expect(fields(address, 3)).toEqual({
      P: '1: present',
      'R/W': '0: read-only',
      'U/S': '1: user and supervisor',
      PWT: '0: write-back',
      PCD: '0: cached',
      A: '1: accessed',
      D: '1: written to',
      G: '0: not global',
      PAT: '0: memory type WB (entry 0 of the PAT)',
      XD: '1: no execution',
    });
    expect(view(address)).toMatchObject({
      mode: '4-level',
      root: { cr3: 0x1000n, gpa: 0x1000n },
      pageSize: 4096n,
      rights: { writable: false, user: true, executable: false },
    });
  });

  test.each([
    ['2 MiB', 2, (1n << 12n) | 0x60_0087n, 'PDE 0 at 3000: page of 2 MiB 600000', '600123'],
    ['1 GiB', 1, 0x8000_0087n, 'PDPTE 0 at 2000: page of 1 GiB 80000000', '80000123'],
  ] as const)('ends at a page of %s', (_, level, entry, last, gpa) => {
    page('4-level');
    put(ROOT, BigInt(SECOND) | 7n);
    put(SECOND, level === 1 ? entry : BigInt(THIRD) | 7n);
    put(THIRD, entry);
    expect(chain(0x123n).slice(-2)).toEqual([last, gpa]);
    expect(fields(0x123n, level).PS).toMatch(/^1: a page of/);
    expect(fields(0x123n, level).PAT).toMatch(level === 2 ? /^1: memory type WB \(entry 4/ : /^0:/);
  });

  test('in PAE paging begins at one of four entries', () => {
    put(ROOT + 16, BigInt(SECOND) | 1n);
    put(SECOND + 8, BigInt(LAST) | 3n);
    put(LAST + 8, 0x9007n);
    page('PAE');
    expect(chain(0x8020_1045n)).toEqual([
      'PDPTE 2 at 1010: page directory 2000',
      'PDE 1 at 2008: page table 4000',
      'PTE 1 at 4008: page of 4 KiB 9000',
      '9045',
    ]);
    expect(Object.keys(fields(0x8020_1045n, 0))).toEqual(['P', 'PWT', 'PCD']);
    // One of those without an address of its own in the table is told from the registers all the same.
    expect(chain(0x1000n)).toEqual(['PDPTE 0 at 1000: undefined undefined', 'The PDPT entry is not present.']);
  });

  test('in 32-bit paging has entries of four bytes, and pages of 4 MiB with bits 39:32 of their address', () => {
    page('32-bit', Cr4.PSE);
    put(ROOT + 4, BigInt(LAST) | 7n, 4);
    put(LAST + 8, 0x8003n, 4);
    put(ROOT + 8, 0x0080_0083n | (0x12n << 13n), 4);
    expect(chain(0x40_2fffn)).toEqual(['PDE 1 at 1004: page table 4000', 'PTE 2 at 4008: page of 4 KiB 8000', '8fff']);
    expect(chain(0x80_0010n)).toEqual(['PDE 2 at 1008: page of 4 MiB 1200800000', '1200800010']);
    expect(fields(0x80_0010n, 0)).toMatchObject({ PS: '1: a page of 4 MiB', D: '0: not written to yet' });
    expect(fields(0x80_0010n, 0)).not.toHaveProperty('XD');
    page('32-bit');
    expect(fields(0x80_0010n, 0).PS).toBe('1: ignored: CR4.PSE is 0');
  });

  test('stops where an entry is not present or has reserved bits', () => {
    page('4-level');
    put(ROOT, BigInt(SECOND) | 7n);
    put(SECOND, 0xabcd_0000n);
    expect(chain(0n).slice(-2)).toEqual(['PDPTE 0 at 2000: undefined undefined', 'The PDPT entry is not present.']);
    expect(fields(0n, 1)).toEqual({ P: '0: not present: the other bits are for software' });
    put(SECOND, BigInt(THIRD) | 7n | (1n << 51n));
    expect(view(0n).problem).toBe('The PDPT entry has reserved bits set.');
    expect(view(0n).entries[1]?.fields.at(-1)).toMatchObject({ name: 'reserved', bits: 'bit 51' });
    expect(view(0x8000_0000_0000n)).toMatchObject({ entries: [], problem: 'The address is not canonical.' });
  });

  test('is the address itself while paging is off', () => {
    expect(view(0x1234n)).toMatchObject({ mode: 'off', entries: [], gpa: 0x1234n });
    expect(view(0x1234n).root).toBeUndefined();
  });

  test('shows what the second level makes of each table and of the page, where there is one', () => {
    page('4-level');
    put(ROOT, BigInt(SECOND) | 7n);
    put(SECOND, 0x87n);
    const seen: bigint[] = [];
    const walk = (gpa: bigint): TableWalk => {
      seen.push(gpa);
      const flags = { accessed: false, dirty: false, withheld: false, isMarked: false };
      const rights = { memoryType: 'WB', permissions: { read: true, write: true, execute: true } } as const;
      const page = { gpa, size: 4096n, state: 'present', spa: gpa + 0x10_0000n, ...rights, ...flags } as const;
      return { format: 'EPT', root: 0n, entries: [], page, spa: page.spa };
    };
    const shown = view(0x123n, walk);
    expect(seen).toEqual([0x1000n, 0x2000n, 0x123n]);
    expect(shown.entries[1]?.secondLevel?.spa).toBe(0x10_2000n);
    expect(shown.secondLevel?.spa).toBe(0x10_0123n);
    const physical = translationView({ walkSecondLevel: walk }, processor, { space: 'gpa', address: 0x5000n });
    expect(physical).toMatchObject({ gpa: 0x5000n, entries: [], secondLevel: { spa: 0x10_5000n } });
  });
});

test('what an access would come to is what the processor makes of it', () => {
  const source = new Random(20261126);
  const chance = (one: number) => source.below(one) === 0;
  const seen = new Set<string>();
  for (let round = 0; round < 800; round++) {
    const mode = source.pick(['32-bit', 'PAE', '4-level'] as const);
    const flags = () => (chance(6) ? 0n : 1n) | (chance(3) ? 0n : 2n) | (chance(2) ? 0n : 4n);
    const wide = () =>
      (chance(4) ? XD : 0n) | (mode === '4-level' ? BigInt(source.below(4)) << 59n : 0n) | (chance(12) ? 1n << 51n : 0n);
    const large = chance(4) ? 0x80n : 0n;
    let cr4 = 0n;
    for (const bit of [Cr4.PSE, Cr4.SMEP, Cr4.SMAP, Cr4.PKE]) if (chance(2)) cr4 |= bit;
    if (mode === '32-bit') {
      put(ROOT, BigInt(LAST) | flags() | large, 4);
      put(LAST, 0x5000n | flags(), 4);
    } else if (mode === 'PAE') {
      put(ROOT, BigInt(SECOND) | 1n);
      put(SECOND, (large === 0n ? BigInt(LAST) : 0x20_0080n) | flags() | wide());
      put(LAST, 0x5000n | flags() | wide());
    } else {
      put(ROOT, BigInt(SECOND) | flags() | (chance(4) ? XD : 0n));
      put(SECOND, BigInt(THIRD) | 7n);
      put(THIRD, (large === 0n ? BigInt(LAST) : 0x20_0080n) | flags() | wide());
      put(LAST, 0x5000n | flags() | wide());
    }
    page(mode, cr4, chance(3) ? 0n : NXE);
    const { state } = processor;
    if (chance(2)) state.set64(L.CR0, state.cr0 & ~0x1_0000n);
    state.rflags = chance(2) ? 2 : 2 | Flag.AC;
    state.set32(L.PKRU, source.next());
    const mmu = new Mmu(state, memory, processor.model);
    const control = pagingControl(processor);
    for (const access of ALL_ACCESSES) {
      const expected = checkAccess(processor.walk(0x123n), access, control);
      let actual: number | undefined;
      try {
        mmu.translate(0x123n, { write: access.kind === 'write', fetch: access.kind === 'fetch', user: access.user });
      } catch (error) {
        if (!(error instanceof GuestFault)) throw error;
        actual = error.errorCode;
      }
      expect(expected.errorCode, `${mode} ${JSON.stringify(access)}`).toBe(actual);
      if (expected.cause !== undefined) {
        expect(expected.cause).not.toMatch(/now/);
        seen.add(expected.cause);
      }
    }
  }
  for (const part of ['not present', 'reserved', 'U/S', 'R/W', 'XD', 'WP', 'SMEP', 'SMAP', 'Protection key'])
    expect([...seen].join('\n')).toContain(part);
});

describe('the map of an address space', () => {
  const ranges = (from?: bigint) =>
    addressMap(processor, from).ranges.map(
      ({ start, last, writable, user, executable, gpa, pageSizes }) =>
        `${start.toString(16)}-${last.toString(16)} ${user ? 'u' : '-'}${writable ? 'w' : '-'}${executable ? 'x' : '-'} ${gpa?.toString(16) ?? 'scattered'} ${pageSizes}`,
    );

  test('puts neighbours with the same rights together, through tables and sizes', () => {
    page('4-level');
    put(ROOT, BigInt(SECOND) | 7n);
    put(ROOT + 511 * 8, BigInt(SECOND) | 7n);
    put(SECOND, BigInt(THIRD) | 7n);
    put(SECOND + 511 * 8, 0x4000_0083n);
    put(THIRD, BigInt(LAST) | 7n);
    put(THIRD + 8, 0x20_0087n);
    put(THIRD + 24, 0x20_0087n);
    for (let index = 0; index < 512; index++) put(LAST + index * 8, BigInt(index * 0x1000) | (index === 100 ? 0x27n : 0x67n));
    put(LAST, 0n);
    put(LAST + 16, 0x2000n | 5n);
    expect(ranges().slice(0, 5)).toEqual([
      '1000-1fff uwx 1000 4096',
      '2000-2fff u-x 2000 4096',
      '3000-3fffff uwx 3000 4096,2097152',
      '600000-7fffff uwx 200000 2097152',
      '7fc0000000-7fffffffff -wx 40000000 1073741824',
    ]);
    expect(ranges(0xffff_8000_0000_0000n).at(-1)).toBe('ffffffffc0000000-ffffffffffffffff -wx 40000000 1073741824');
    // It may begin in the middle of a page.
    expect(ranges(0x7f_d000_1234n)[0]).toBe('7fd0001000-7fffffffff -wx 50001000 1073741824');
  });

  test.each(['32-bit', 'PAE', '4-level'] as const)('in %s paging says of each page what its walk says', (mode) => {
    const source = new Random(7);
    const next = () => source.next();
    const size = mode === '32-bit' ? 4 : 8;
    for (let round = 0; round < 8; round++) {
      const entry = () => {
        const rights = BigInt(next() & (next() % 3 === 0 ? 7 : 6)) | (next() % 3 === 0 ? 0n : 1n);
        return rights | (size === 8 && next() % 8 === 0 ? XD : 0n) | BigInt(next() & 0x60);
      };
      const tables = mode === '4-level' ? [ROOT, SECOND] : [ROOT];
      for (const table of tables) put(table, BigInt(table + 0x1000) | (mode === 'PAE' ? 1n : 7n), size);
      const directory = mode === '4-level' ? THIRD : mode === 'PAE' ? SECOND : ROOT;
      for (let index = 0; index < 4; index++) {
        const large = next() % 3 === 0 ? 0x80n | (BigInt(index) << 22n) : BigInt(0x5000 + 0x1000 * index);
        put(directory + index * size, large | entry(), size);
      }
      let frame = 0;
      for (let index = 0; index < (4 * 4096) / size; index++) {
        frame = next() % 4 === 0 ? next() % 256 : frame + 1;
        put(0x5000 + index * size, BigInt(frame * 0x1000) | (next() % 4 === 0 ? entry() : 7n), size);
      }
      page(mode, Cr4.PSE);
      const map = addressMap(processor).ranges;
      const end = mode === '32-bit' ? 0x100_0000n : 0x80_0000n;
      expect(map.every(({ last }) => last < end)).toBe(true);
      let at = 0;
      const wrong: string[] = [];
      for (let address = 0n; address < end; address += 0x1000n) {
        const { gpa, writable, user, executable, pageSize = 0n } = processor.walk(address);
        while ((map[at]?.last ?? end) < address) at++;
        const range = map[at];
        const isIn = range !== undefined && range.start <= address;
        const isRight =
          isIn === (gpa !== undefined) &&
          (!isIn ||
            (range.writable === writable &&
              range.user === user &&
              range.executable === executable &&
              range.pageSizes.includes(pageSize) &&
              (range.gpa === undefined || range.gpa + (address - range.start) === gpa)));
        if (!isRight) wrong.push(address.toString(16));
      }
      expect(wrong).toEqual([]);
      expect(map.length).toBeGreaterThan(50);
    }
  });

  test('is given up at a limit where tables have no end', () => {
    page('4-level');
    // Each entry leads back to the table, so every address is mapped, each page with rights other than its neighbour's.
    for (let index = 0; index < 512; index++) put(ROOT + index * 8, BigInt(ROOT) | (index % 2 === 0 ? 3n : 5n));
    const few = addressMap(processor, 0n, { ranges: 100, walks: 1000 });
    expect(few.ranges).toHaveLength(100);
    expect(few.unfinishedAt).toBe((few.ranges.at(-1)?.last ?? 0n) + 1n);
    expect(addressMap(processor, 0n, { walks: 10 }).unfinishedAt).toBe(0xa000n);
  });

  test('is one range while paging is off', () => {
    expect(ranges()).toEqual(['0-ffffffff uwx 0 4096']);
  });
});
