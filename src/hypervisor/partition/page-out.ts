import type { SecondLevelMap } from '../second-level/second-level-map.ts';

/** Name of the input by which a host takes memory for others: the input door knows bytes. */
export const PAGE_OUT = 'host page-out';

const PAGE = 0x1000n;

/** Whole pages of guest physical memory. */
export interface PageRange {
  readonly gpa: bigint;
  readonly size: bigint;
}

export function encodePageOut({ gpa, size }: PageRange): Uint8Array {
  return new Uint8Array(BigUint64Array.of(gpa, size).buffer);
}

/** Pages that the input names are on the host's disk from now on: all that are RAM and present. */
export function pageOut(map: SecondLevelMap, input: Uint8Array): void {
  if (input.length < 16) return;
  const view = new DataView(input.buffer, input.byteOffset);
  const gpa = view.getBigUint64(0, true) & -PAGE;
  const size = view.getBigUint64(8, true) & -PAGE;
  if (size > 0n) map.pageOut(gpa, size);
}
