import { Rounding, type RoundingMode } from '../softfloat/environment.ts';
import { EXTENDED80, pack } from '../softfloat/format.ts';

/**
 * FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2 and FLDZ by the low three bits of ModRM: biased exponent, significand rounded down,
 * and whether the value is above the middle to the next one.
 */
const CONSTANTS: readonly (readonly [biased: number, significand: bigint, isAboveMiddle: boolean])[] = [
  [0x3fff, 0x8000_0000_0000_0000n, false],
  [0x4000, 0xd49a_784b_cd1b_8afen, false],
  [0x3fff, 0xb8aa_3b29_5c17_f0bbn, true],
  [0x4000, 0xc90f_daa2_2168_c234n, true],
  [0x3ffd, 0x9a20_9a84_fbcf_f798n, true],
  [0x3ffe, 0xb172_17f7_d1cf_79abn, true],
  [0, 0n, false],
];
const EXACT: ReadonlySet<number> = new Set([0, 6]);

/** Bits of a constant, rounded as RC says; no exception is raised. */
export function constantBits(index: number, rounding: RoundingMode): bigint {
  const [biased, significand, isAboveMiddle] = CONSTANTS[index] ?? [0, 0n, false];
  const up = !EXACT.has(index) && (rounding === Rounding.UP || (rounding === Rounding.NEAREST && isAboveMiddle));
  return pack(EXTENDED80, false, biased, up ? significand + 1n : significand);
}
