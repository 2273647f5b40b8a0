import { DmaError, type DmaMemory } from '../../../devices/dma.ts';
import type { GuestBuffer } from './vsp.ts';

const PAGE = 4096;
const PAGE_SHIFT = 12n;
/** Bits of a guest physical address that can name RAM. */
const PFN_BITS = 40n;

/** A part of a guest's description of memory: so many bytes from an offset into its first page on (Linux, struct gpa_range). */
export interface GuestRange {
  readonly offset: number;
  readonly length: number;
  /** Numbers of its pages, one for each that it touches. */
  readonly pages: readonly bigint[];
}

/** Pages that a range of so many bytes touches. */
export function pagesOf(offset: number, length: number): number {
  return Math.ceil((offset + length) / PAGE);
}

/** What is wrong with the pages of a range, as a part of a sentence. */
export function problemOfRange(dma: DmaMemory, { pages }: GuestRange): string | undefined {
  const bad = pages.find((pfn) => pfn >> PFN_BITS !== 0n || !dma.covers(pfn << PAGE_SHIFT, PAGE));
  return bad === undefined ? undefined : `page 0x${bad.toString(16)} is no RAM`;
}

/** Memory of the guest that ranges of pages describe, one after the other. Pages that are gone or no RAM end it. */
export class GuestPages implements GuestBuffer {
  readonly length: number;
  /** Where each range begins, in bytes from the start. */
  private readonly starts: readonly number[];
  private isGone = false;

  constructor(
    private readonly dma: DmaMemory,
    readonly ranges: readonly GuestRange[],
  ) {
    const starts: number[] = [];
    let total = 0;
    for (const { length } of ranges) {
      starts.push(total);
      total += length;
    }
    this.starts = starts;
    this.length = total;
  }

  /** The same memory for who only looks. */
  forLooking(): GuestPages {
    const pages = new GuestPages(this.dma.forLooking ?? this.dma, this.ranges);
    pages.isGone = this.isGone;
    return pages;
  }

  /** The guest took it back. */
  end(): void {
    this.isGone = true;
  }
  get hasEnded(): boolean {
    return this.isGone;
  }

  read(offset: number, length: number): Uint8Array | undefined {
    if (!this.has(offset, length)) return undefined;
    const single = this.place(offset);
    try {
      if (single !== undefined && single.available >= length) return this.dma.read(single.gpa, length);
      const bytes = new Uint8Array(length);
      const isWhole = this.eachPiece(offset, length, (gpa, at, count) => bytes.set(this.dma.read(gpa, count), at));
      return isWhole ? bytes : undefined;
    } catch (error) {
      if (error instanceof DmaError) return undefined;
      throw error;
    }
  }

  /** False where not all of it has RAM; what lies before that is written then. */
  write(offset: number, bytes: Uint8Array): boolean {
    if (!this.has(offset, bytes.length)) return false;
    try {
      return this.eachPiece(offset, bytes.length, (gpa, at, count) => this.dma.write(gpa, bytes.subarray(at, at + count)));
    } catch (error) {
      if (error instanceof DmaError) return false;
      throw error;
    }
  }

  /** Guest physical address of a byte; undefined behind the end. */
  addressOf(offset: number): bigint | undefined {
    return this.has(offset, 1) ? this.place(offset)?.gpa : undefined;
  }

  private has(offset: number, length: number): boolean {
    return !this.isGone && offset >= 0 && length >= 0 && offset + length <= this.length;
  }

  /** Address of a byte, and how many bytes follow it in its page and range. */
  private place(offset: number): { gpa: bigint; available: number } | undefined {
    const { starts, ranges } = this;
    let index = 0;
    if (ranges.length > 1) {
      let high = ranges.length - 1;
      while (index < high) {
        const middle = (index + high + 1) >> 1;
        if ((starts[middle] ?? 0) <= offset) index = middle;
        else high = middle - 1;
      }
    }
    const range = ranges[index];
    if (range === undefined) return undefined;
    const inRange = offset - (starts[index] ?? 0);
    const at = range.offset + inRange;
    const pfn = range.pages[Math.floor(at / PAGE)];
    if (pfn === undefined) return undefined;
    const inPage = at % PAGE;
    return { gpa: (pfn << PAGE_SHIFT) + BigInt(inPage), available: Math.min(PAGE - inPage, range.length - inRange) };
  }

  private eachPiece(offset: number, length: number, act: (gpa: bigint, at: number, count: number) => void): boolean {
    for (let done = 0; done < length; ) {
      const place = this.place(offset + done);
      if (place === undefined || place.available <= 0) return false;
      const count = Math.min(length - done, place.available);
      act(place.gpa, done, count);
      done += count;
    }
    return true;
  }
}

/** What one description of memory may be at most: a hostile guest is to take no more of the host than an honest one. */
export const MOST_PAGES = 1 << 20;

/**
 * Reads `count` ranges of {u32 bytes, u32 offset, u64 page numbers …}. A string says what is wrong, as a part of a sentence.
 */
export function readRanges(bytes: Uint8Array, count: number): readonly GuestRange[] | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ranges: GuestRange[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + 8 > bytes.length) return `range ${index} is missing`;
    const length = view.getUint32(at, true);
    const offset = view.getUint32(at + 4, true);
    at += 8;
    if (offset >= PAGE) return `range ${index} begins at byte ${offset} of its first page`;
    const pages = pagesOf(offset, length);
    if (at + pages * 8 > bytes.length) return `range ${index} of ${length} bytes has not all of its ${pages} pages`;
    const numbers: bigint[] = [];
    for (let page = 0; page < pages; page++) numbers.push(view.getBigUint64(at + page * 8, true));
    at += pages * 8;
    ranges.push({ offset, length, pages: numbers });
  }
  return ranges;
}
