import { PageBit } from '../../processor/memory/second-level.ts';

/** Rights that the second level gives to a page. */
export interface Permissions {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}

/**
 * What is at a page: memory, or why there is none. `mmio`: devices answer. `ballooned`: the guest gave the page back. `unbacked`: it
 * never had memory. `misconfigured`: its entry is one that the processor refuses to read. `paged-out`: its memory is on the host's disk, and
 * comes back as it was.
 */
export const PAGE_STATES = ['present', 'mmio', 'ballooned', 'unbacked', 'misconfigured', 'paged-out'] as const;
export type PageState = (typeof PAGE_STATES)[number];

/** Memory types by their numbers in MTRRs and EPT entries (Intel SDM vol. 3, table 12-8). */
export const MEMORY_TYPES = { UC: 0, WC: 1, WT: 4, WP: 5, WB: 6 } as const;
export type MemoryType = keyof typeof MEMORY_TYPES;

/** Sizes of the pages that a leaf entry can map, by how far up its table is. */
export const LEAF_SIZES = [0x1000, 0x20_0000, 0x4000_0000] as const;

export const ALL_RIGHTS = PageBit.READ | PageBit.WRITE | PageBit.EXECUTE;
export const FLAGS = PageBit.ACCESSED | PageBit.DIRTY;
/** The right to write is withheld until the dirty log has seen the first write. */
export const WITHHELD = 0x20;
/** Whoever emulates devices answers writes: they have no effect on the page's memory. */
export const READ_ONLY = 0x4000;

/**
 * All that is known of a page of RAM, in 16 bits: {@link PageBit} in bits 4:0, WITHHELD, memory type in bits 8:6, state in 11:9, size
 * of its leaf in 13:12, READ_ONLY in 14.
 */
const TYPE_SHIFT = 6;
const STATE_SHIFT = 9;
const SIZE_SHIFT = 12;

/** The word of a page that has memory: with all rights, write-back. */
export const PRESENT_PAGE = ALL_RIGHTS | (MEMORY_TYPES.WB << TYPE_SHIFT);

export const stateOf = (word: number): PageState => PAGE_STATES[(word >> STATE_SHIFT) & 7] ?? 'present';
export const isPresent = (word: number): boolean => ((word >> STATE_SHIFT) & 7) === 0;
export const isPagedOut = (word: number): boolean => stateOf(word) === 'paged-out';
/** Memory was taken away, or never given, and can be given at any time. */
export const lacksMemory = (word: number): boolean =>
  stateOf(word) === 'ballooned' || stateOf(word) === 'unbacked' || isPagedOut(word);
export const sizeClassOf = (word: number): 0 | 1 | 2 => ((word >> SIZE_SHIFT) & 3) as 0 | 1 | 2;
export const withSizeClass = (word: number, sizeClass: 0 | 1 | 2): number =>
  (word & ~(3 << SIZE_SHIFT)) | (sizeClass << SIZE_SHIFT);
export const memoryTypeOf = (word: number): MemoryType => {
  const number = (word >> TYPE_SHIFT) & 7;
  return (Object.keys(MEMORY_TYPES) as MemoryType[]).find((name) => MEMORY_TYPES[name] === number) ?? 'WB';
};
export const withMemoryType = (word: number, type: MemoryType): number =>
  (word & ~(7 << TYPE_SHIFT)) | (MEMORY_TYPES[type] << TYPE_SHIFT);

/** A page without memory: no rights, no flags. Its leaf keeps its size. */
export const withoutMemory = (word: number, state: Exclude<PageState, 'present'>): number =>
  withSizeClass((PAGE_STATES.indexOf(state) << STATE_SHIFT) | (word & READ_ONLY), sizeClassOf(word));

/** A page that gets memory, as at the beginning. */
export const withMemory = (word: number): number =>
  withSizeClass(word & READ_ONLY ? (PRESENT_PAGE & ~PageBit.WRITE) | READ_ONLY : PRESENT_PAGE, sizeClassOf(word));

export function permissionsOf(word: number): Permissions {
  return {
    read: (word & PageBit.READ) !== 0,
    write: (word & PageBit.WRITE) !== 0,
    execute: (word & PageBit.EXECUTE) !== 0,
  };
}

/** Changes the rights. `withholds`: the dirty log does so with rights to write, until it has seen the first write. */
export function withPermissions(word: number, { read, write, execute }: Permissions, withholds: boolean): number {
  const writes = write && (word & READ_ONLY) === 0;
  const withheld = writes && withholds && (word & PageBit.WRITE) === 0;
  const rights =
    (read ? PageBit.READ : 0) |
    (writes && !withheld ? PageBit.WRITE : 0) |
    (execute ? PageBit.EXECUTE : 0) |
    (withheld ? WITHHELD : 0);
  return (word & ~(ALL_RIGHTS | WITHHELD)) | rights;
}
