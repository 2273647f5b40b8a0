import type { EntryState } from '../boot-image.ts';

type Segment = EntryState['segments']['cs'];

/** Segment registers of the entry states: rights as in a VMCS (type, S, DPL, P, AVL, L, D/B, G, unusable). */
export const FLAT_CODE_64: Segment = { selector: 0, base: 0n, limit: 0xffff_ffff, rights: 0xa09b };
export const FLAT_CODE_32: Segment = { selector: 0, base: 0n, limit: 0xffff_ffff, rights: 0xc09b };
export const FLAT_DATA: Segment = { selector: 0, base: 0n, limit: 0xffff_ffff, rights: 0xc093 };
export const CODE_16: Segment = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 };
export const DATA_16: Segment = { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 };
export const NULL_SEGMENT: Segment = { selector: 0, base: 0n, limit: 0xffff, rights: 0x82 };
export const TSS_BUSY: Segment = { selector: 0, base: 0n, limit: 0x67, rights: 0x8b };
