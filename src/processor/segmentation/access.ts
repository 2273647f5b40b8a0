import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { CpuState, SegmentValue } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';

const CODE = 8;
const READABLE_OR_WRITABLE = 2;
const EXPAND_DOWN = 4;
const UNUSABLE = 1 << 16;
const PRESENT = 1 << 7;

/** True unless every data access through ES, SS, DS, FS, GS passes the segment checks whatever its offset. */
export function segmentCheckNeeded(state: CpuState): boolean {
  for (const index of [L.Segment.ES, L.Segment.SS, L.Segment.DS, L.Segment.FS, L.Segment.GS]) {
    const { limit, rights } = state.segment(index);
    // Writable data, expanding up, 4 GiB.
    if (
      limit !== 0xffff_ffff ||
      (rights & (UNUSABLE | PRESENT | CODE | EXPAND_DOWN | READABLE_OR_WRITABLE)) !== (PRESENT | READABLE_OR_WRITABLE)
    )
      return true;
  }
  return false;
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
