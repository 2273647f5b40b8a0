import { type LoadSegment, type Program, ProgramError } from '../program.ts';

const PAGE = 0x1000n;
/** The first page has the vectors of real mode. */
const FIRST_PAGE = PAGE;
const END = 0xa_0000n;

/** The conventional memory that a program leaves free, for what its boot protocol hands over. */
export class LowMemory {
  private readonly taken: { readonly start: bigint; readonly end: bigint }[];
  private readonly path: string;

  constructor({ segments, path }: Program) {
    this.path = path;
    this.taken = segments.map(({ gpa, size }) => ({ start: gpa, end: gpa + BigInt(size) }));
  }

  /** Takes the wanted place, where it is free, or else the lowest free page on. Throws ProgramError when there is none. */
  take(wanted: bigint, size: number): bigint {
    const isFree = (start: bigint) =>
      start + BigInt(size) <= END && this.taken.every((range) => start + BigInt(size) <= range.start || range.end <= start);
    let start = wanted;
    for (let page = FIRST_PAGE; !isFree(start) && page < END; page += PAGE) start = page;
    if (!isFree(start))
      throw new ProgramError(
        'The program fills the memory below 640 KiB, where its boot protocol puts what it hands over; link it to another place.',
        this.path,
      );
    this.taken.push({ start, end: start + BigInt(size) });
    return start;
  }

  /** Bytes at a place of their own: see `take`. */
  segment(wanted: bigint, bytes: Uint8Array): LoadSegment {
    return { gpa: this.take(wanted, bytes.length), bytes, size: bytes.length };
  }
}
