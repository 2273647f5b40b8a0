import type { PartitionMemory } from '../memory/partition-memory.ts';
import type { CpuModel } from '../models/cpu-model.ts';
import type { WalkStep } from '../processor.ts';
import type { CpuState } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';

/** Page-table bits in the low half of an entry (Intel SDM vol. 3, 4.3–4.5). */
export const Entry = { P: 1, RW: 2, US: 4, A: 0x20, D: 0x40, PS: 0x80 } as const;
/** No execution: bit 63, in the high half. */
const NX_HIGH = 0x8000_0000;
const FRAME_LOW = 0xffff_f000;
const TWO_32 = 0x1_0000_0000;

const CR4_PSE = 1 << 4;
const CR4_PAE = 1 << 5;
const EFER_LMA = 1 << 10;
const EFER_NXE = 1 << 11;

/** Bits that no word has: everything is asked about. */
const NEVER_GRANTED = 0x1_0000;

export type PagingMode = '32-bit' | 'PAE' | '4-level';
/** `second-level`: the entry can't be read, and {@link PageWalk.refusedGpa} is where it is. */
export type WalkFailure = 'not-present' | 'reserved' | 'second-level';

/**
 * What a walk may do to the flags of the second level. `NONE`: it isn't asked at all. `PEEK`: it may only refuse, also what needs a
 * flag to be set. `ACCESS`: as the processor walks. `INSIST`: as ACCESS, and nothing is refused.
 */
export const WalkEffect = { NONE: 0, PEEK: 1, ACCESS: 2, INSIST: 3 } as const;
export type WalkEffect = (typeof WalkEffect)[keyof typeof WalkEffect];

const LEVELS: readonly WalkStep['level'][] = ['PML4', 'PDPT', 'PD', 'PT'];
/** Bytes that an entry of each level maps; of the PD in 32-bit paging: 4 MiB. */
const PAGE_SIZES = [0, 0x4000_0000, 0x20_0000, 0x1000] as const;

/**
 * One walk through the page tables, without side effects on the guest and without asking for its rights. It is made anew for each miss of the
 * TLB, so it works on numbers: 64-bit entries in halves, addresses (at most 52 bits) as doubles, results in fields.
 */
export class PageWalk {
  mode: PagingMode = '4-level';
  failure: WalkFailure | undefined;
  /** Entries read; their places and values by number. */
  depth = 0;
  readonly entryGpa = new Float64Array(4);
  readonly entryLow = new Uint32Array(4);
  readonly entryHigh = new Uint32Array(4);
  /** 0 PML4, 1 PDPT, 2 PD, 3 PT. */
  readonly entryLevel = new Uint8Array(4);
  /** Number of the linear page: bits 47:12 of the address. */
  page = 0;
  frame = 0;
  pageSize = 0x1000;
  writable = true;
  user = true;
  executable = true;
  /** Protection key of the page: 4-level paging only. */
  key = 0;
  /** Guest physical address of the entry that the second level refused. */
  refusedGpa = 0;
  private effect: WalkEffect = WalkEffect.NONE;
  /** Words of the second level while it is asked, and the bits of them that need no question. */
  private words: Uint16Array | undefined;
  private wordsStart = 0;
  private granted = 0;

  /** Address bits 63:32 that exist, and those among bits 51:32 that don't. */
  private readonly physicalHigh: number;
  private readonly reservedHigh: number;
  private readonly hugePages: boolean;
  /** Bits of a 4 MiB page's entry in 32-bit paging that must be 0. */
  private readonly reservedLarge: number;

  constructor(
    private readonly state: CpuState,
    private readonly memory: PartitionMemory,
    model: CpuModel,
  ) {
    this.physicalHigh = 2 ** (model.physicalAddressBits - 32) - 1;
    this.reservedHigh = 0xf_ffff & ~this.physicalHigh;
    this.hugePages = model.has('pdpe1gb');
    this.reservedLarge = model.has('pse36') ? 1 << 21 : 0x3f_e000;
  }

  /** Follows a linear address, given in halves, to its page. */
  follow(low: number, high: number, effect: WalkEffect): void {
    const { state } = this;
    this.effect = effect;
    const { secondLevel } = this.memory;
    this.words = effect === WalkEffect.NONE ? undefined : secondLevel?.words;
    if (secondLevel !== undefined) {
      this.wordsStart = secondLevel.start;
      this.granted = effect === WalkEffect.ACCESS ? secondLevel.walkNeeds : NEVER_GRANTED;
    }
    this.depth = 0;
    this.page = high * 0x10_0000 + (low >>> 12);
    this.failure = undefined;
    this.writable = this.user = this.executable = true;
    if (state.get32(L.EFER) & EFER_LMA) {
      this.mode = '4-level';
      this.followWide(low, high, 0, this.tableOf(state.get32(L.CR3), state.get32(L.CR3 + 4)));
    } else if (state.get32(L.CR4) & CR4_PAE) {
      this.mode = 'PAE';
      this.followPae(low);
    } else {
      this.mode = '32-bit';
      this.follow32(low);
    }
  }

  private tableOf(low: number, high: number): number {
    return (high & this.physicalHigh) * TWO_32 + ((low & FRAME_LOW) >>> 0);
  }

  private add(level: number, gpa: number, low: number, high: number): void {
    const { depth } = this;
    this.entryLevel[depth] = level;
    this.entryGpa[depth] = gpa;
    this.entryLow[depth] = low;
    this.entryHigh[depth] = high;
    this.depth = depth + 1;
  }

  private followPae(low: number): void {
    const { state } = this;
    const index = low >>> 30;
    const pointer = state.get32(L.PDPTE + index * 8);
    const pointerHigh = state.get32(L.PDPTE + index * 8 + 4);
    this.add(1, ((state.get32(L.CR3) & 0xffff_ffe0) >>> 0) + index * 8, pointer, pointerHigh);
    if (pointer & Entry.P) this.followWide(low, 0, 2, this.tableOf(pointer, pointerHigh));
    else this.failure = 'not-present';
  }

  /** 8-byte entries: 4-level paging and the lower levels of PAE paging. */
  private followWide(low: number, high: number, first: number, root: number): void {
    const noExecute = (this.state.get32(L.EFER) & EFER_NXE) !== 0;
    let reservedHigh = this.reservedHigh;
    // In PAE paging bits 62:52 are reserved too.
    if (this.mode === 'PAE') reservedHigh |= 0x7ff0_0000;
    if (!noExecute) reservedHigh |= NX_HIGH;
    const { words, wordsStart, granted } = this;
    let table = root;
    for (let level = first; level < 4; level++) {
      const gpa = table + indexAt(level, low, high) * 8;
      // Where no memory is, an entry reads as nothing.
      const offset = this.memory.offsetOf(gpa);
      if (words !== undefined && ((words[(offset - wordsStart) >>> 12] ?? 0) & granted) !== granted && !this.mayRead(gpa, offset))
        return;
      const entry = offset === 0 ? 0 : this.memory.view.getUint32(offset, true);
      const entryHigh = offset === 0 ? 0 : this.memory.view.getUint32(offset + 4, true);
      this.add(level, gpa, entry, entryHigh);
      if (!(entry & Entry.P)) {
        this.failure = 'not-present';
        return;
      }
      if (entryHigh & reservedHigh || this.reservedLow(level, entry)) {
        this.failure = 'reserved';
        return;
      }
      this.writable &&= (entry & Entry.RW) !== 0;
      this.user &&= (entry & Entry.US) !== 0;
      this.executable &&= (entryHigh & NX_HIGH) === 0;
      if (level === 3 || entry & Entry.PS) {
        this.pageSize = PAGE_SIZES[level] ?? 0x1000;
        this.key = (entryHigh >>> 27) & 15;
        this.frame = (entryHigh & this.physicalHigh) * TWO_32 + ((entry & -this.pageSize) >>> 0);
        return;
      }
      table = this.tableOf(entry, entryHigh);
    }
  }

  /** Reserved bits of the low half: all about large pages. */
  private reservedLow(level: number, entry: number): boolean {
    if (level === 3 || !(entry & Entry.PS)) return false;
    if (level === 0 || (level === 1 && !this.hugePages)) return true;
    // Between the frame and the PAT bit, which is bit 12.
    return (entry & ((PAGE_SIZES[level] ?? 0) - 1) & ~0x1fff) !== 0;
  }

  /** 4-byte entries, with 4 MiB pages under CR4.PSE (PSE-36: bits 20:13 are bits 39:32 of the frame). */
  private follow32(low: number): void {
    const { state, words, wordsStart, granted } = this;
    let table = (state.get32(L.CR3) & FRAME_LOW) >>> 0;
    for (let level = 2; level < 4; level++) {
      const gpa = table + (level === 2 ? low >>> 22 : (low >>> 12) & 0x3ff) * 4;
      // Where no memory is, an entry reads as nothing.
      const offset = this.memory.offsetOf(gpa);
      if (words !== undefined && ((words[(offset - wordsStart) >>> 12] ?? 0) & granted) !== granted && !this.mayRead(gpa, offset))
        return;
      const entry = offset === 0 ? 0 : this.memory.view.getUint32(offset, true);
      this.add(level, gpa, entry, 0);
      if (!(entry & Entry.P)) {
        this.failure = 'not-present';
        return;
      }
      this.writable &&= (entry & Entry.RW) !== 0;
      this.user &&= (entry & Entry.US) !== 0;
      if (level === 3) {
        this.pageSize = 0x1000;
        this.frame = (entry & FRAME_LOW) >>> 0;
        return;
      }
      if (entry & Entry.PS && state.get32(L.CR4) & CR4_PSE) {
        if (entry & this.reservedLarge) this.failure = 'reserved';
        this.pageSize = 0x40_0000;
        this.frame = ((entry >>> 13) & 0xff & this.physicalHigh) * TWO_32 + ((entry & 0xffc0_0000) >>> 0);
        return;
      }
      table = (entry & FRAME_LOW) >>> 0;
    }
  }

  /** {@link Need} of reading an entry. */
  get secondLevelNeeds(): number {
    return this.memory.secondLevel?.walkNeeds ?? 0;
  }

  /** Asks the second level whether an entry may be read; what it refuses is the walk's failure. */
  private mayRead(gpa: number, offset: number): boolean {
    const { secondLevel } = this.memory;
    const { effect } = this;
    if (secondLevel === undefined) return true;
    if (offset === 0) {
      if (effect === WalkEffect.ACCESS) secondLevel.noteMissing(gpa, 'walk');
      return true;
    }
    const need = secondLevel.walkNeeds;
    if (effect === WalkEffect.ACCESS) {
      if (secondLevel.grants(offset, need)) return true;
    } else if (effect === WalkEffect.PEEK) {
      if (secondLevel.isSettled(offset, need)) return true;
    } else {
      secondLevel.insist(offset, need);
      return true;
    }
    this.failure = 'second-level';
    this.refusedGpa = gpa;
    return false;
  }

  levelName(step: number): WalkStep['level'] {
    return LEVELS[this.entryLevel[step] ?? 3] ?? 'PT';
  }
}

function indexAt(level: number, low: number, high: number): number {
  if (level === 3) return (low >>> 12) & 0x1ff;
  if (level === 2) return (low >>> 21) & 0x1ff;
  if (level === 1) return ((high << 2) | (low >>> 30)) & 0x1ff;
  return (high >>> 7) & 0x1ff;
}
