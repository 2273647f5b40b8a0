import * as O from '../interpreter/operation.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { MixedPages } from './mixed-pages.ts';
import type { PartitionMemory } from './partition-memory.ts';
import type { PageRange } from './table-registry.ts';

const emptyLists = (): number[][] => Array.from({ length: O.TLB_SETS }, () => []);
/** Low halves of the tags of entries that have no page: never filled since the last flush, and filled but dropped since. */
const NO_PAGE = -1;
const DROPPED = -2;
/** Up to so many pages are looked for by their places, one after the other. */
const FEW_PAGES = 16;

/**
 * A vCPU's translations as generated code looks them up: sets of tables in its cache area, one set an address space, by
 * privilege and by reads and writes. An entry has a linear page as its tag, and what makes a place in the partition's memory of
 * an address in it.
 */
export class Tlb {
  /**
   * Places of the entries that have a page, by set and by what they are for: a flush costs no more than the fills before it.
   */
  private readonly filledReads = emptyLists();
  private readonly filledWrites = emptyLists();
  /** The set in use, and the address spaces that have one, by CR3. */
  private set = 0;
  private readonly spaces = new Map<bigint, number>();
  private nextSet = 0;
  readonly mixed = new MixedPages();

  constructor(
    private readonly state: CpuState,
    private readonly memory: PartitionMemory,
  ) {
    const tlb = state.base + O.TLB;
    memory.bytes.fill(0xff, tlb, tlb + O.TLB_SETS * O.TLB_SET_SIZE);
  }

  /** Byte offset in the memory of one of the tables in use. */
  table(index: number): number {
    return this.tableOf(this.set, index);
  }
  private tableOf(set: number, index: number): number {
    return this.state.base + O.TLB + set * O.TLB_SET_SIZE + index * O.TLB_SIZE;
  }

  flush(): void {
    this.mixed.flush();
    for (const places of [...this.filledReads, ...this.filledWrites]) this.empty(places);
    this.spaces.clear();
    this.spaces.set(this.state.cr3, this.set);
  }

  /**
   * Goes on with the translations of the address space in CR3. Those of others stay: translations always are what the page
   * tables say, whoever's they are.
   */
  enterSpace(): void {
    const { cr3 } = this.state;
    this.mixed.flush();
    let set = this.spaces.get(cr3);
    if (set === undefined) {
      set = this.nextSet;
      this.nextSet = (set + 1) % O.TLB_SETS;
      for (const [other, its] of this.spaces) if (its === set) this.spaces.delete(other);
      this.empty(this.filledReads[set] ?? []);
      this.empty(this.filledWrites[set] ?? []);
      this.spaces.set(cr3, set);
    }
    this.set = set;
  }

  /** Forgets entries, given by their places. */
  private empty(places: number[]): void {
    for (const at of places) this.memory.view.setInt32(at, NO_PAGE, true);
    places.length = 0;
  }

  /** Where an access lies in the memory when a table has its page; else 0. */
  find(table: number, linear: bigint, size: number): number {
    return this.findAt(table, Number(BigInt.asUintN(32, linear)), linear > 0xffff_ffffn ? Number(linear >> 32n) : 0, size);
  }

  /** The same for an address given in halves of 32 bits. */
  findAt(table: number, low: number, high: number, size: number): number {
    if ((low & 0xfff) + size > 0x1000) return 0;
    const { view } = this.memory;
    const at = this.table(table) + ((low >>> 12) & (O.TLB_ENTRIES - 1)) * 16;
    if (view.getInt32(at, true) !== (low & 0xffff_f000) || view.getInt32(at + 4, true) !== (high | 0)) return 0;
    return (view.getInt32(at + 8, true) + low) >>> 0;
  }

  /** Enters the page of an address, which lies at an offset of the memory. */
  fill(linear: bigint, offset: number, user: boolean, writable: boolean): void {
    this.fillAt(Number(BigInt.asUintN(32, linear)), linear > 0xffff_ffffn ? Number(linear >> 32n) : 0, offset, user, writable);
  }

  /** The same for an address given in halves of 32 bits. */
  fillAt(low: number, high: number, offset: number, user: boolean, writable: boolean): void {
    const { READ_USER, READ_SUPERVISOR, WRITE_USER, WRITE_SUPERVISOR } = O.TlbTable;
    this.enter(user ? READ_USER : READ_SUPERVISOR, this.filledReads, low, high, offset);
    if (writable) this.enter(user ? WRITE_USER : WRITE_SUPERVISOR, this.filledWrites, low, high, offset);
  }

  private enter(table: number, filled: readonly number[][], low: number, high: number, offset: number): void {
    const at = this.table(table) + ((low >>> 12) & (O.TLB_ENTRIES - 1)) * 16;
    const { view } = this.memory;
    if (view.getInt32(at, true) === NO_PAGE) filled[this.set]?.push(at);
    view.setInt32(at, low & 0xffff_f000, true);
    view.setInt32(at + 4, high, true);
    view.setInt32(at + 8, (offset - low) | 0, true);
  }

  /** Drops the entries for a range of linear pages, in all address spaces. */
  dropPages(range: PageRange): void {
    this.mixed.dropPages(range);
    const { view } = this.memory;
    const dropAt = (at: number) => {
      const low = view.getInt32(at, true);
      if (low === NO_PAGE || low === DROPPED) return;
      const page = (view.getUint32(at + 4, true) & 0xffff) * 0x10_0000 + (low >>> 12);
      if (page >= range.first && page < range.first + range.count) view.setInt32(at, DROPPED, true);
    };
    if (range.count > FEW_PAGES) {
      for (const places of [...this.filledReads, ...this.filledWrites]) for (const at of places) dropAt(at);
      return;
    }
    for (let page = range.first; page < range.first + range.count; page++)
      for (let set = 0; set < O.TLB_SETS; set++)
        for (let table = 0; table < O.TlbTable.NEVER; table++) dropAt(this.tableOf(set, table) + (page % O.TLB_ENTRIES) * 16);
  }

  /** Has stores to a page ask from now on, wherever it is mapped. `offset`: of the page in the memory. */
  dropWrites(offset: number): void {
    this.mixed.flush();
    const { view } = this.memory;
    for (const places of this.filledWrites)
      for (const at of places) {
        const low = view.getInt32(at, true);
        if (low !== NO_PAGE && ((view.getInt32(at + 8, true) + low) | 0) === (offset | 0)) view.setInt32(at, DROPPED, true);
      }
  }

  /** Points generated code at the tables for a privilege. `never`: each access must ask. */
  select(user: boolean, never: boolean): void {
    const { READ_USER, READ_SUPERVISOR, WRITE_USER, WRITE_SUPERVISOR, NEVER } = O.TlbTable;
    this.state.set32(O.ENGINE_TLB_READ, this.table(never ? NEVER : user ? READ_USER : READ_SUPERVISOR));
    this.state.set32(O.ENGINE_TLB_WRITE, this.table(never ? NEVER : user ? WRITE_USER : WRITE_SUPERVISOR));
  }
}
