/** Hyper-V's hypercalls by code and by name (TLFS, "Hypercall reference"). Their layouts are in hypercall-table.ts. */
import { hex } from '../../../x86/address.ts';
import { HYPERCALL_REFERENCE, type HypercallRow } from './hypercall-table.ts';

export { HYPERCALL_REFERENCE, type HypercallRow } from './hypercall-table.ts';

const BY_CODE = new Map(HYPERCALL_REFERENCE.map((row) => [row.code, row]));

/** The row of a call code; undefined for a number that isn't one. */
export function hypercallRow(code: number): HypercallRow | undefined {
  return BY_CODE.get(code);
}

/** `HvCallPostMessage`, or the number of a code that has no name. */
export function hypercallName(code: number): string {
  return BY_CODE.get(code)?.name ?? `hypercall ${hex(code)}`;
}

/** A partition's name for itself. */
export const PARTITION_ID_SELF = 0xffff_ffff_ffff_ffffn;
/** A vCPU's name for itself, and for any one. */
export const VP_INDEX_SELF = 0xffff_fffe;
export const ANY_VP = 0xffff_ffff;
