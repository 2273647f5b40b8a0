/** Values of registers of a virtual processor, as hypercalls and intercept messages hold them (TLFS, HV_REGISTER_VALUE): 128 bits. */
import type { SegmentValue } from '../../../processor/state/cpu-state.ts';

/** A register's value: two halves of 64 bits. */
export interface WideValue {
  readonly low: bigint;
  readonly high: bigint;
}

export const wide = (low: bigint, high = 0n): WideValue => ({ low: BigInt.asUintN(64, low), high: BigInt.asUintN(64, high) });

const UNUSABLE = 1 << 16;
const PRESENT = 1 << 7;
const RIGHTS = 0xf0ff;

/** HV_X64_SEGMENT_REGISTER: base, then limit, selector and attributes. A segment that can't be used is one that isn't present. */
export function wideSegment({ base, limit, selector, rights }: SegmentValue): WideValue {
  const attributes = rights & UNUSABLE ? 0 : rights & RIGHTS;
  return wide(base, BigInt(limit >>> 0) | (BigInt(selector & 0xffff) << 32n) | (BigInt(attributes) << 48n));
}

/** The same back. */
export function segmentOf({ low, high }: WideValue): SegmentValue {
  const attributes = Number((high >> 48n) & 0xffffn) & RIGHTS;
  return {
    base: low,
    limit: Number(high & 0xffff_ffffn),
    selector: Number((high >> 32n) & 0xffffn),
    rights: attributes | (attributes & PRESENT ? 0 : UNUSABLE),
  };
}

/** HV_X64_TABLE_REGISTER: 6 bytes of nothing, a limit, a base. */
export function wideTable(base: bigint, limit: number): WideValue {
  return wide(BigInt(limit & 0xffff) << 48n, base);
}

export function tableOf({ low, high }: WideValue): { readonly base: bigint; readonly limit: number } {
  return { base: high, limit: Number((low >> 48n) & 0xffffn) };
}

export function readWide(view: DataView, offset = 0): WideValue {
  return { low: view.getBigUint64(offset, true), high: view.getBigUint64(offset + 8, true) };
}
