import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { CpuState, SegmentValue } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';

const CODE = 8;
const READABLE_OR_WRITABLE = 2;
const EXPAND_DOWN = 4;
const UNUSABLE = 1 << 16;
const PRESENT = 1 << 7;

/**
 * Which of ES, SS, DS, FS and GS are flat, as bits by segment number: every data access through them passes the checks
 * whatever its offset. CS never is: it can't be written.
 */
export function flatSegments(state: CpuState): number {
  let flat = 0;
  for (const index of [L.Segment.ES, L.Segment.SS, L.Segment.DS, L.Segment.FS, L.Segment.GS]) {
    const at = L.SEGMENTS + index * L.SEGMENT_SIZE;
    const limit = state.get32(at + L.SEG_LIMIT);
    const rights = state.get32(at + L.SEG_RIGHTS);
    const kind = rights & (UNUSABLE | PRESENT | CODE | EXPAND_DOWN | READABLE_OR_WRITABLE);
    // Writable data, expanding up, 4 GiB.
    if (limit === 0xffff_ffff && kind === (PRESENT | READABLE_OR_WRITABLE)) flat |= 1 << index;
  }
  return flat;
}

/**
 * Where the offsets end (exclusive) that reads and writes of a segment may use without a closer look; 0 where each access must
 * be checked.
 */
export function segmentEnds({ limit, rights }: Pick<SegmentValue, 'limit' | 'rights'>): {
  readonly read: bigint;
  readonly write: bigint;
} {
  if (rights & UNUSABLE || !(rights & PRESENT)) return { read: 0n, write: 0n };
  const end = BigInt(limit) + 1n;
  const permitted = (rights & READABLE_OR_WRITABLE) !== 0;
  if (rights & CODE) return { read: permitted ? end : 0n, write: 0n };
  if (rights & EXPAND_DOWN) return { read: 0n, write: 0n };
  return { read: end, write: permitted ? end : 0n };
}

/** Checks an access through a segment register outside 64-bit mode. Throws #GP(0), or #SS(0) through SS. */
export function accessSegment(state: CpuState, index: number, offset: bigint, size: number, write: boolean): void {
  const segment = state.segment(index);
  if (!permits(segment, offset, size, write)) throw new GuestFault(index === L.Segment.SS ? Vector.SS : Vector.GP, 0);
}

function permits({ limit, rights }: SegmentValue, offset: bigint, size: number, write: boolean): boolean {
  if (rights & UNUSABLE || !(rights & PRESENT)) return false;
  const isCode = (rights & CODE) !== 0;
  if (isCode ? write || !(rights & READABLE_OR_WRITABLE) : write && !(rights & READABLE_OR_WRITABLE)) return false;
  const last = offset + BigInt(size - 1);
  if (!isCode && rights & EXPAND_DOWN) return offset > BigInt(limit) && last <= (rights & (1 << 14) ? 0xffff_ffffn : 0xffffn);
  return last <= BigInt(limit);
}
