import { beforeEach, describe, expect, test } from 'vitest';
import { GuestFault } from '../../../src/processor/faults/guest-fault.ts';
import { PartitionMemory } from '../../../src/processor/memory/partition-memory.ts';
import { Mmu } from '../../../src/processor/mmu/mmu.ts';
import { cpuModel } from '../../../src/processor/models/cpu-models.ts';
import { CpuState, Flag } from '../../../src/processor/state/cpu-state.ts';
import * as L from '../../../src/processor/state/layout.ts';

const ROOT = 0x1000;
const SECOND = 0x2000;
const THIRD = 0x3000;
const LAST = 0x4000;
const NX = 1n << 63n;
const CR0 = 0x8001_0011n;

let memory: PartitionMemory;
let state: CpuState;
let mmu: Mmu;

beforeEach(() => {
  memory = new PartitionMemory([{ gpa: 0n, length: 0x10000 }], 1);
  state = new CpuState(memory.wasm.buffer, memory.vcpuBase(0));
  state.rflags = 2;
  mmu = new Mmu(state, memory, cpuModel('intel'));
  state.set64(L.CR0, CR0);
  state.set64(L.CR3, BigInt(ROOT));
});

function put(gpa: number, value: bigint, size: 4 | 8 = 8): void {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (size === 8) view.setBigUint64(0, value, true);
  else view.setUint32(0, Number(value), true);
  memory.write(BigInt(gpa), bytes);
}

function get(gpa: number): number {
  return new DataView(memory.read(BigInt(gpa), 4).buffer).getUint32(0, true);
}

type Kind = 'read' | 'write' | 'fetch' | 'user read' | 'user write' | 'user fetch';

/** The guest physical address, or the error code of the page fault. */
function translate(linear: bigint, kind: Kind): string {
  const access = { write: kind.endsWith('write'), fetch: kind.endsWith('fetch'), user: kind.startsWith('user') };
  try {
    return mmu.translate(linear, access).gpa.toString(16);
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    expect(error.linearAddress).toBe(linear);
    return `#PF(${error.errorCode?.toString(16)})`;
  }
}

function fourLevels(leaf: bigint, upper = 7n): void {
  state.set64(L.EFER, 0xd00n);
  state.set64(L.CR4, 0x20n);
  put(ROOT, BigInt(SECOND) | upper);
  put(SECOND, BigInt(THIRD) | upper);
  put(THIRD, BigInt(LAST) | upper);
  put(LAST, leaf);
}

describe('4-level paging', () => {
  const cases: readonly (readonly [name: string, leaf: bigint, kind: Kind, result: string])[] = [
    ['reads', 0x5007n, 'user read', '5123'],
    ['refuses a page that is not present', 0x5006n, 'user write', '#PF(6)'],
    ['refuses a write to a read-only page', 0x5005n, 'user write', '#PF(7)'],
    ['refuses the supervisor a write under WP', 0x5005n, 'write', '#PF(3)'],
    ['refuses the user a page of the supervisor', 0x5003n, 'user read', '#PF(5)'],
    ['refuses execution of a page with NX', 0x5007n | NX, 'fetch', '#PF(11)'],
    ['reads a page with NX', 0x5007n | NX, 'read', '5123'],
    ['says that an absent page was fetched', 0x5006n, 'user fetch', '#PF(14)'],
    ['faults on an address beyond MAXPHYADDR', (1n << 40n) | 0x5007n, 'read', '#PF(9)'],
    ['faults on the user with reserved bits set', (1n << 51n) | 0x5007n, 'user write', '#PF(f)'],
    ['ignores bits 62 to 52', (0x7ffn << 52n) | 0x5007n, 'read', '5123'],
  ];
  test.each(cases)('%s', (_name, leaf, kind, result) => {
    fourLevels(leaf);
    expect(translate(0x123n, kind)).toBe(result);
  });

  test('NX is reserved without EFER.NXE, and a fetch is then not told from a read', () => {
    fourLevels(0x5007n | NX);
    state.set64(L.EFER, 0x500n);
    expect(translate(0n, 'read')).toBe('#PF(9)');
    put(LAST, 0x5006n);
    expect(translate(0n, 'fetch')).toBe('#PF(0)');
    state.set64(L.CR4, 0x10_0020n);
    expect(translate(0n, 'fetch')).toBe('#PF(10)');
  });

  test('a large page has reserved bits below its frame, a PML4 entry has no page size', () => {
    fourLevels(0n);
    put(THIRD, 0x2000_2087n);
    expect(translate(0n, 'read')).toBe('#PF(9)');
    put(THIRD, 0x2000_1087n);
    expect(translate(0x1234n, 'read')).toBe('20001234');
    put(SECOND, 0x4000_0087n);
    expect(translate(0x12_3456n, 'read')).toBe('40123456');
    put(SECOND, 0x4010_0087n);
    expect(translate(0n, 'read')).toBe('#PF(9)');
    put(ROOT, BigInt(SECOND) | 0x87n);
    expect(translate(0n, 'read')).toBe('#PF(9)');
  });

  test('accessed bits are set all the way, the dirty bit at the leaf and only by a write', () => {
    fourLevels(0x5007n);
    translate(0n, 'read');
    expect([ROOT, SECOND, THIRD, LAST].map((at) => get(at) & 0x60)).toEqual([0x20, 0x20, 0x20, 0x20]);
    translate(0n, 'write');
    expect([ROOT, SECOND, THIRD, LAST].map((at) => get(at) & 0x60)).toEqual([0x20, 0x20, 0x20, 0x60]);
  });

  test('a refused access sets no bits', () => {
    fourLevels(0x5005n);
    translate(0n, 'user write');
    expect([ROOT, SECOND, THIRD, LAST].map((at) => get(at) & 0x60)).toEqual([0, 0, 0, 0]);
  });

  test('a page whose dirty bit is clear may not be written without a walk', () => {
    fourLevels(0x5007n);
    expect(mmu.translate(0n, { write: false, fetch: false, user: true }).writable).toBe(false);
    expect(mmu.translate(0n, { write: true, fetch: false, user: true }).writable).toBe(true);
    expect(mmu.translate(0n, { write: false, fetch: false, user: true }).writable).toBe(true);
  });

  test('a table where no memory is reads as not present', () => {
    fourLevels(0x5007n);
    put(THIRD, 0x8_0007n);
    expect(translate(0n, 'read')).toBe('#PF(0)');
  });

  test('SMEP and SMAP keep the supervisor from pages of the user; EFLAGS.AC lets only explicit accesses through', () => {
    fourLevels(0x5007n);
    state.set64(L.CR4, 0x30_0020n);
    expect(translate(0n, 'fetch')).toBe('#PF(11)');
    expect(translate(0n, 'read')).toBe('#PF(1)');
    expect(translate(0n, 'write')).toBe('#PF(3)');
    expect(translate(0n, 'user read')).toBe('5000');
    state.rflags = 2 | Flag.AC;
    expect(translate(0n, 'read')).toBe('5000');
    state.cpl = 3;
    expect(translate(0n, 'read')).toBe('#PF(1)');
  });

  test('a walk for the debugger shows each step and changes nothing', () => {
    fourLevels(0x5007n | NX);
    const walk = mmu.walk(0x123n);
    expect(walk.steps.map(({ level, entryGpa }) => [level, entryGpa])).toEqual([
      ['PML4', BigInt(ROOT)],
      ['PDPT', BigInt(SECOND)],
      ['PD', BigInt(THIRD)],
      ['PT', BigInt(LAST)],
    ]);
    expect(walk.steps.at(-1)?.flags).toBe('P RW US NX');
    expect(walk).toMatchObject({ gpa: 0x5123n, pageSize: 0x1000n, writable: true, user: true, executable: false });
    expect(get(LAST) & 0x60).toBe(0);
  });

  test('a walk says why there is no translation', () => {
    fourLevels(0n);
    expect(mmu.walk(0n).problem).toBe('The PT entry is not present.');
    expect(mmu.walk(0x8000_0000_0000n).problem).toBe('The address is not canonical.');
  });
});

describe('PAE paging', () => {
  beforeEach(() => {
    state.set64(L.CR4, 0x20n);
    state.set64(L.EFER, 0x800n);
    put(ROOT, BigInt(SECOND) | 1n);
    put(SECOND, BigInt(LAST) | 7n);
    put(LAST, 0x5007n);
    mmu.loadPdptes(BigInt(ROOT));
  });

  test('the pointers are those that were loaded with CR3, and have no accessed bit', () => {
    expect(translate(0x123n, 'read')).toBe('5123');
    expect(get(ROOT)).toBe(SECOND | 1);
    put(ROOT, 0n);
    expect(translate(0x123n, 'read')).toBe('5123');
    mmu.loadPdptes(BigInt(ROOT));
    expect(translate(0x123n, 'read')).toBe('#PF(0)');
  });

  test.each([2n, 4n, 0x20n, 0x100n, 1n << 40n, NX])('a pointer with the reserved bits %x is refused', (bits) => {
    put(ROOT + 8, BigInt(SECOND) | 1n | bits);
    expect(() => mmu.loadPdptes(BigInt(ROOT))).toThrow(GuestFault);
    put(ROOT + 8, BigInt(SECOND) | bits);
    expect(() => mmu.loadPdptes(BigInt(ROOT))).not.toThrow();
  });

  test('bits 62 to 52 of entries are reserved, NX is not', () => {
    put(LAST, 0x5007n | (1n << 52n));
    expect(translate(0n, 'read')).toBe('#PF(9)');
    put(LAST, 0x5007n | NX);
    expect(translate(0n, 'read')).toBe('5000');
    expect(translate(0n, 'fetch')).toBe('#PF(11)');
  });
});

describe('32-bit paging', () => {
  test('4 MiB pages have 8 more address bits and a reserved bit', () => {
    state.set64(L.CR4, 0x10n);
    put(ROOT, 0x0080_0087n | (0x12n << 13n), 4);
    expect(translate(0x1234n, 'read')).toBe('1200801234');
    put(ROOT, 0x00a0_0087n, 4);
    expect(translate(0n, 'read')).toBe('#PF(9)');
  });

  test('without PSE the bit means nothing', () => {
    put(ROOT, BigInt(LAST) | 0x87n, 4);
    put(LAST, 0x5007n, 4);
    expect(translate(0x123n, 'read')).toBe('5123');
    expect(get(ROOT) & 0x60).toBe(0x20);
  });

  test('EFER.NXE says nothing about fetches', () => {
    state.set64(L.EFER, 0x800n);
    expect(translate(0n, 'fetch')).toBe('#PF(0)');
  });

  test('without WP the supervisor writes where the user may not', () => {
    state.set64(L.CR0, 0x8000_0011n);
    put(ROOT, BigInt(LAST) | 7n, 4);
    put(LAST, 0x5005n, 4);
    expect(translate(0n, 'write')).toBe('5000');
    expect(translate(0n, 'user write')).toBe('#PF(7)');
  });
});

test('without paging a linear address is a physical one', () => {
  state.set64(L.CR0, 0x11n);
  expect(translate(0xffff_fff0n, 'user write')).toBe('fffffff0');
  expect(mmu.walk(0x1234n)).toMatchObject({ gpa: 0x1234n, steps: [] });
});
