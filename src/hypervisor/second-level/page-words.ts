import type { PartitionMemory } from '../../processor/memory/partition-memory.ts';
import { FLAGS, LEAF_SIZES, sizeClassOf, withSizeClass } from './page-word.ts';

/** A page as an entry maps it. */
export interface Leaf {
  readonly gpa: bigint;
  readonly size: bigint;
  /** The word of its first 4 KiB, without flags. */
  readonly word: number;
  /** Flags of any of its parts. */
  readonly flags: number;
}

type Change = (word: number) => number;

/**
 * The words (page-word.ts) of all pages of RAM: one for each 4 KiB, whatever the size of the page that has them. Pages are split where a part
 * of them changes.
 */
export class PageWords {
  /** By offset in the memory, from {@link start} on. Holes between regions have words of no meaning. */
  readonly words: Uint16Array;
  /** Offset of the start of RAM in the memory. */
  readonly start: number;

  constructor(private readonly memory: PartitionMemory) {
    const last = memory.regions.at(-1);
    this.start = memory.regions[0]?.offset ?? 0;
    this.words = new Uint16Array(last ? (last.offset + last.length - this.start) / 0x1000 : 0);
  }

  /** Number of the page at an offset in the memory. */
  pageAt(offset: number): number {
    return (offset - this.start) >>> 12;
  }

  /** Number of the page at an address; undefined where no RAM is. */
  pageOf(gpa: bigint): number | undefined {
    const place = this.memory.locate(gpa);
    return place && this.pageAt(place.offset);
  }

  /** The word of a page given by its number. */
  at(page: number): number {
    return this.words[page] ?? 0;
  }

  /** Guest physical address of a page given by its number. */
  gpaOf(page: number): bigint {
    const offset = this.start + page * 0x1000;
    const region = this.memory.regions.find((each) => offset >= each.offset && offset < each.offset + each.length);
    return region ? region.gpa + BigInt(offset - region.offset) : 0n;
  }

  /** The parts of a range that have RAM: their guest physical addresses and lengths. */
  *ramWithin(gpa: bigint, size: bigint): Iterable<readonly [gpa: bigint, length: bigint]> {
    for (const region of this.memory.regions) {
      const from = region.gpa > gpa ? region.gpa : gpa;
      const regionEnd = region.gpa + BigInt(region.length);
      const to = regionEnd < gpa + size ? regionEnd : gpa + size;
      if (from < to) yield [from, to - from];
    }
  }

  /** Numbers of the pages of RAM that a range has parts of. It begins at a page. */
  *pagesOf(gpa: bigint, size: bigint): Iterable<number> {
    for (const [from, length] of this.ramWithin(gpa, size)) {
      const first = this.pageOf(from) ?? 0;
      const end = first + Number((length + 0xfffn) >> 12n);
      for (let page = first; page < end; page++) yield page;
    }
  }

  /** The page that maps an address; undefined where no RAM is. */
  leafAt(gpa: bigint): Leaf | undefined {
    const page = this.pageOf(gpa);
    if (page === undefined) return undefined;
    const word = this.at(page);
    const size = BigInt(LEAF_SIZES[sizeClassOf(word)]);
    const start = gpa & -size;
    let flags = 0;
    for (const part of this.pagesOf(start, size)) flags |= this.at(part) & FLAGS;
    return { gpa: start, size, word: word & ~FLAGS, flags };
  }

  /** Changes the words of a range, after splitting what only a part of changes. */
  change(gpa: bigint, size: bigint, change: Change): void {
    this.splitAt(gpa);
    this.splitAt(gpa + size);
    for (const page of this.pagesOf(gpa, size)) this.words[page] = change(this.at(page));
  }

  /** Splits what is larger than 4 KiB in a range. */
  splitAll(gpa: bigint, size: bigint): void {
    this.splitAt(gpa);
    this.splitAt(gpa + size);
    for (const [from, length] of this.ramWithin(gpa, size))
      for (let at = from; at < from + length; ) {
        const leaf = this.leafAt(at);
        if (!leaf) break;
        if (leaf.size > 0x1000n) this.splitLeaf(leaf, 0);
        at = leaf.gpa + leaf.size;
      }
  }

  /** Makes an address the start of a page. */
  private splitAt(gpa: bigint): void {
    for (const sizeClass of [1, 0] as const) {
      const page = this.pageOf(gpa);
      if (page === undefined || sizeClassOf(this.at(page)) <= sizeClass) continue;
      const leaf = this.leafAt(gpa);
      if (leaf && leaf.gpa !== gpa) this.splitLeaf(leaf, sizeClass);
    }
  }

  /** The parts of a page have what the whole had, its flags too. */
  private splitLeaf({ gpa, size, flags }: Leaf, sizeClass: 0 | 1): void {
    for (const page of this.pagesOf(gpa, size)) this.words[page] = withSizeClass(this.at(page) | flags, sizeClass);
  }

  /** Makes large pages of those in a range that differ in nothing but their flags, where the memory is aligned. */
  enlarge(gpa: bigint, size: bigint): void {
    for (const sizeClass of [1, 2] as const) {
      const bytes = BigInt(LEAF_SIZES[sizeClass]);
      for (let at = (gpa + bytes - 1n) & -bytes; at + bytes <= gpa + size; at += bytes) this.enlargeBlock(at, sizeClass);
    }
  }

  private enlargeBlock(gpa: bigint, sizeClass: 1 | 2): void {
    const bytes = LEAF_SIZES[sizeClass];
    const place = this.memory.locate(gpa);
    if (!place || place.available < bytes || (place.offset - this.start) % bytes !== 0) return;
    const first = this.pageAt(place.offset);
    const end = first + bytes / 0x1000;
    const like = this.at(first);
    if (sizeClassOf(like) !== sizeClass - 1) return;
    for (let page = first; page < end; page++) if (((this.at(page) ^ like) & ~FLAGS) !== 0) return;
    for (let page = first; page < end; page++) this.words[page] = withSizeClass(this.at(page), sizeClass);
  }

  /** All RAM in ranges of pages whose words differ in nothing but their flags. */
  *ranges(): Iterable<{ readonly gpa: bigint; readonly size: bigint; readonly word: number }> {
    for (const { gpa, offset, length } of this.memory.regions) {
      const first = this.pageAt(offset);
      const end = first + length / 0x1000;
      for (let page = first; page < end; ) {
        const word = this.at(page) & ~FLAGS;
        const step = LEAF_SIZES[sizeClassOf(word)] / 0x1000;
        const start = page;
        while (page < end && (this.at(page) & ~FLAGS) === word) page += step;
        yield { gpa: gpa + BigInt((start - first) * 0x1000), size: BigInt((page - start) * 0x1000), word };
      }
    }
  }
}
