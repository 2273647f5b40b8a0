import { bitLength } from '../../softfloat/bit-length.ts';
import type { FloatEnvironment } from '../../softfloat/environment.ts';
import { EXTENDED80, type Unpacked } from '../../softfloat/format.ts';
import { roundToFormat } from '../../softfloat/rounding.ts';

/**
 * Numbers for series, with far more bits than results have. Fixed-point numbers have FRACTION bits behind the point; a Real is
 * a signed magnitude × 2^exponent, so that small ones have as many significant bits as large ones.
 */
export const FRACTION = 192;
export const ONE = 1n << BigInt(FRACTION);

export interface Real {
  readonly negative: boolean;
  readonly exponent: number;
  readonly significand: bigint;
}

export const multiplyFixed = (a: bigint, b: bigint): bigint => (a * b) >> BigInt(FRACTION);
export const divideFixed = (a: bigint, b: bigint): bigint => (a << BigInt(FRACTION)) / b;

/** A magnitude in fixed point; what is too small for it becomes 0. */
export function toFixed({ exponent, significand }: Real): bigint {
  const shift = exponent + FRACTION;
  return shift >= 0 ? significand << BigInt(shift) : significand >> BigInt(-shift);
}

export function fromFixed(value: bigint): Real {
  return { negative: value < 0n, exponent: -FRACTION, significand: value < 0n ? -value : value };
}

export function fromValue({ negative, exponent, significand }: Unpacked): Real {
  return { negative, exponent, significand };
}

export function multiply(a: Real, b: Real): Real {
  return {
    negative: a.negative !== b.negative,
    exponent: a.exponent + b.exponent,
    significand: a.significand * b.significand,
  };
}

/** a ÷ b with at least FRACTION significant bits. */
export function divide(a: Real, b: Real): Real {
  const shift = Math.max(0, FRACTION + bitLength(b.significand) - bitLength(a.significand));
  return {
    negative: a.negative !== b.negative,
    exponent: a.exponent - b.exponent - shift,
    significand: (a.significand << BigInt(shift)) / b.significand,
  };
}

/** Position of the highest bit: the value is in [2^(n−1), 2^n). */
export const topOf = ({ exponent, significand }: Real): number => exponent + bitLength(significand);

/** A result that is never exact, rounded to double extended with all that is due. */
export function roundInexact(environment: FloatEnvironment, { negative, exponent, significand }: Real): bigint {
  return roundToFormat(environment, EXTENDED80, negative, exponent, significand, true);
}

/**
 * A series 1 + c₁z + c₂z² + … by its terms: `next` makes a term of the one before. One whose z vanishes in fixed point is a
 * little less or more than 1, as `below` says.
 */
export function series(next: (term: bigint, index: number) => bigint, below: boolean): bigint {
  let total = ONE;
  let term = ONE;
  for (let index = 1; term !== 0n && term !== -1n; index++) {
    term = next(term, index);
    total += term;
  }
  return total === ONE ? (below ? ONE - 1n : ONE + 1n) : total;
}
