import type { Processor, WalkResult, WalkStep } from '../../processor/processor.ts';
import { MASK_32, MASK_64 } from '../../x86/address.ts';
import { type PagingControl, pagingControl } from './control.ts';
import { isLeaf, spanOf } from './page-entry.ts';

/** A range of linear addresses that are mapped with the same rights. */
export interface MappedRange {
  readonly start: bigint;
  /** The last address in it. */
  readonly last: bigint;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  /** Physical address of its start, where all of it follows from there without a gap. */
  readonly gpa?: bigint;
  /** Sizes of its pages in bytes, ascending. */
  readonly pageSizes: readonly bigint[];
}

export interface AddressMap {
  readonly mode: PagingControl['mode'];
  readonly ranges: readonly MappedRange[];
  /** Where it was given up; missing when the map is whole. */
  readonly unfinishedAt?: bigint;
}

export interface MapLimits {
  /** Ranges at most. */
  readonly ranges?: number;
  /** Page walks at most: 50,000 take about half a second. Each table takes a few, whatever it maps. */
  readonly walks?: number;
}

const PAGE = 4096n;
const UPPER_START = 0xffff_8000_0000_0000n;
const LOWER_END = 0x8000_0000_0000n;
/** Accessed and dirty: no rights. */
const USED = 0x60n;

/** Ranges of neighbours, put together as they come in. */
class Ranges {
  readonly list: { -readonly [Key in keyof MappedRange]: MappedRange[Key] }[] = [];

  add(start: bigint, size: bigint, { writable, user, executable, pageSize = PAGE }: WalkResult, gpa: bigint | undefined): void {
    const before = this.list.at(-1);
    const continues =
      before !== undefined &&
      before.last + 1n === start &&
      before.writable === writable &&
      before.user === user &&
      before.executable === executable;
    if (!continues) {
      this.list.push({ start, last: start + size - 1n, writable, user, executable, gpa, pageSizes: [pageSize] });
      return;
    }
    if (before.gpa === undefined || gpa === undefined || before.gpa + (start - before.start) !== gpa) before.gpa = undefined;
    before.last = start + size - 1n;
    if (!before.pageSizes.includes(pageSize)) before.pageSizes = [...before.pageSizes, pageSize].sort((a, b) => (a < b ? -1 : 1));
  }
}

/**
 * The linear addresses that are mapped from one on, as ranges with the same rights. Each entry that tells something new is walked as
 * the processor does it; what follows it in its table with the same bits, or isn't there, is passed over. A guest can build tables
 * without end, so there are limits.
 */
export function addressMap(
  processor: Pick<Processor, 'state' | 'model' | 'walk' | 'readMemory'>,
  from = 0n,
  { ranges: mostRanges = 10_000, walks: mostWalks = 50_000 }: MapLimits = {},
): AddressMap {
  const control = pagingControl(processor);
  const { mode } = control;
  const ranges = new Ranges();
  if (mode === 'off') {
    ranges.add(0n, MASK_32 + 1n, processor.walk(0n), 0n);
    return { mode, ranges: ranges.list };
  }
  const end = mode === '4-level' ? MASK_64 : MASK_32;
  const tables = new TableReader(processor, control);
  let at = from & -PAGE;
  for (let walks = 0; at <= end; walks++) {
    if (mode === '4-level' && at >= LOWER_END && at < UPPER_START) at = UPPER_START;
    if (walks === mostWalks || ranges.list.length > mostRanges) {
      return { mode, ranges: ranges.list.slice(0, mostRanges), unfinishedAt: ranges.list[mostRanges]?.start ?? at };
    }
    const walk = processor.walk(at);
    const last = walk.steps.at(-1);
    if (!last) break;
    if (walk.gpa === undefined) at = tables.afterGap(at, last);
    else {
      const { pages, gapless } = tables.alike(last);
      const size = (walk.pageSize ?? PAGE) * BigInt(pages);
      // The map may begin in the middle of a large page.
      const offset = at & ((walk.pageSize ?? PAGE) - 1n);
      ranges.add(at, size - offset, walk, gapless ? walk.gpa : undefined);
      at += size - offset;
    }
  }
  return { mode, ranges: ranges.list };
}

/** Reads on in the table of an entry. */
class TableReader {
  private readonly size: number;
  /** Bits of an entry that may differ from its neighbour's without a difference in rights. */
  private readonly frame: bigint;

  constructor(
    private readonly processor: Pick<Processor, 'readMemory'>,
    private readonly control: PagingControl,
  ) {
    this.size = control.mode === '32-bit' ? 4 : 8;
    const bits = control.mode === '32-bit' ? 32 : control.physicalAddressBits;
    this.frame = ((1n << BigInt(bits)) - 1n) & -PAGE;
  }

  /** The entries of a table from one on. PDPTEs of PAE paging are read where no table is: each stands alone. */
  private rest({ level, entryGpa }: WalkStep): DataView {
    const isAlone = this.control.mode === 'PAE' && level === 'PDPT';
    const bytes = this.processor.readMemory('gpa', entryGpa, isAlone ? 0 : Number(PAGE - (entryGpa % PAGE)));
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Where the next address is that may be mapped, after one whose entry isn't present. */
  afterGap(at: bigint, step: WalkStep): bigint {
    const span = spanOf(step.level, this.control);
    const view = this.rest(step);
    let index = 1;
    while (index * this.size < view.byteLength && (view.getUint8(index * this.size) & 1) === 0) index++;
    return (at & -span) + BigInt(index) * span;
  }

  /** How many pages from an entry on have the same rights, and whether they lie one behind the other. */
  alike(step: WalkStep): { readonly pages: number; readonly gapless: boolean } {
    const { level, entry } = step;
    const span = spanOf(level, this.control);
    let pages = 1;
    let gapless = true;
    // The frame of a 4 MiB page is in two parts.
    if (!isLeaf(level, entry, this.control) || (this.control.mode === '32-bit' && level === 'PD')) return { pages, gapless };
    const view = this.rest(step);
    const mayDiffer = (this.frame & -span) | USED;
    for (
      let next = this.at(view, pages);
      next !== undefined && ((next ^ entry) & ~mayDiffer) === 0n;
      next = this.at(view, pages)
    ) {
      const frame = this.frame & -span;
      if ((next & frame) !== (entry & frame) + span * BigInt(pages)) gapless = false;
      pages++;
    }
    return { pages, gapless };
  }

  private at(view: DataView, index: number): bigint | undefined {
    const offset = index * this.size;
    if (offset + this.size > view.byteLength) return undefined;
    return this.size === 4 ? BigInt(view.getUint32(offset, true)) : view.getBigUint64(offset, true);
  }
}
