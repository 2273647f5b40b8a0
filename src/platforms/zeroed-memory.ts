import type { RamRegion } from '../processor/memory/partition-memory.ts';

/** A part of memory that somebody writes before the guest starts. */
interface Written {
  readonly gpa: bigint;
  /** Bytes. */
  readonly size: number;
}

/** Pages one behind another. */
export interface PageRange {
  readonly page: bigint;
  readonly count: bigint;
}

const PAGE_SHIFT = 12n;
const PAGE = 1n << PAGE_SHIFT;
/** What firmware and boot protocols leave below isn't looked at. */
const FIRST = 0x10_0000n;

/** The pages of RAM, from 1 MiB on, in which nothing is when a guest starts: in the order of their addresses. */
export function zeroedPages(ram: readonly RamRegion[], written: readonly Written[]): readonly PageRange[] {
  const taken = written.filter(({ size }) => size > 0).sort((a, b) => (a.gpa < b.gpa ? -1 : 1));
  return ram.flatMap(({ gpa, length }) => {
    const end = gpa + BigInt(length);
    const ranges: PageRange[] = [];
    let free = gpa > FIRST ? gpa : FIRST;
    const add = (limit: bigint) => {
      const count = (limit - free) >> PAGE_SHIFT;
      if (count > 0n) ranges.push({ page: free >> PAGE_SHIFT, count });
    };
    for (const { gpa: from, size } of taken) {
      const to = (from + BigInt(size) + PAGE - 1n) & ~(PAGE - 1n);
      if (to <= free || from >= end) continue;
      add(from);
      free = to;
    }
    add(end);
    return ranges;
  });
}
