import type { EntryState } from '../boot-image.ts';

type Segment = EntryState['segments']['cs'];

/** Segment registers of the entry states: rights as in a VMCS (type, S, DPL, P, AVL, L, D/B, G, unusable). */
const FLAT_CODE_64: Segment = { selector: 0, base: 0n, limit: 0xffff_ffff, rights: 0xa09b };
const FLAT_CODE_32: Segment = { selector: 0, base: 0n, limit: 0xffff_ffff, rights: 0xc09b };
const FLAT_DATA: Segment = { selector: 0, base: 0n, limit: 0xffff_ffff, rights: 0xc093 };
const CODE_16: Segment = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 };
const DATA_16: Segment = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 };
const NULL_SEGMENT: Segment = { selector: 0, base: 0n, limit: 0xffff, rights: 0x82 };
const TSS_BUSY: Segment = { selector: 0, base: 0n, limit: 0x67, rights: 0x8b };

/** All segment registers: one for code, one kind for all data, no LDT, a task state segment that nothing uses. */
function allSegments(cs: Segment, data: Segment): EntryState['segments'] {
  return { cs, ds: data, es: data, ss: data, fs: data, gs: data, ldtr: NULL_SEGMENT, tr: TSS_BUSY };
}

/** Flat segments for code of a mode. */
export function flatSegments(mode: 32 | 64, code: number, data: number): EntryState['segments'] {
  const cs = mode === 64 ? FLAT_CODE_64 : FLAT_CODE_32;
  return allSegments({ ...cs, selector: code }, { ...FLAT_DATA, selector: data });
}

/** Segments of real mode: code where it is told, data from 0. */
export function realModeSegments(selector: number, base: bigint): EntryState['segments'] {
  return allSegments({ ...CODE_16, selector, base }, DATA_16);
}
