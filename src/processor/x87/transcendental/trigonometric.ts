import type { Unpacked } from '../../softfloat/format.ts';
import { PI_66, PI_66_EXPONENT } from './constants.ts';
import { divide, fromFixed, fromValue, multiply, multiplyFixed, type Real, series, toFixed, topOf } from './real.ts';

/** Arguments from 2^63 on are refused. */
export const isInRange = (x: Unpacked): boolean => topOf(fromValue(x)) <= 63;

/** A finite argument other than 0, less a multiple of ½π: what is left, from −¼π to ¼π, and how often modulo 4 it was taken off. */
interface Reduced {
  readonly rest: Real;
  readonly quadrant: number;
}

function reduce(x: Unpacked): Reduced {
  const value = fromValue(x);
  // Half of the 66-bit π, whose last bit is thus at 2^−65.
  const halfExponent = PI_66_EXPONENT - 1;
  if (topOf(value) < 0) return { rest: value, quadrant: 0 };
  const exponent = Math.min(value.exponent, halfExponent);
  const magnitude = value.significand << BigInt(value.exponent - exponent);
  const half = PI_66 << BigInt(halfExponent - exponent);
  const count = (2n * magnitude + half) / (2n * half);
  const rest = magnitude - count * half;
  const times = Number(count & 3n);
  return {
    rest: { negative: rest < 0n !== x.negative, exponent, significand: rest < 0n ? -rest : rest },
    quadrant: x.negative ? (4 - times) & 3 : times,
  };
}

/** Sine and cosine of a small number. */
function sineOfRest(rest: Real): Real {
  const fixed = toFixed(rest);
  const square = multiplyFixed(fixed, fixed);
  // sin r ÷ r = 1 − r² ÷ 3! + r⁴ ÷ 5! − …
  const ratio = series((term, index) => -multiplyFixed(term, square) / BigInt(2 * index * (2 * index + 1)), true);
  return multiply(rest, fromFixed(ratio));
}
function cosineOfRest(rest: Real): Real {
  const fixed = toFixed(rest);
  const square = multiplyFixed(fixed, fixed);
  return fromFixed(series((term, index) => -multiplyFixed(term, square) / BigInt(2 * index * (2 * index - 1)), true));
}

function signed(value: Real, negate: boolean): Real {
  return negate ? { ...value, negative: !value.negative } : value;
}

export function sine(x: Unpacked): Real {
  const { rest, quadrant } = reduce(x);
  return signed(quadrant & 1 ? cosineOfRest(rest) : sineOfRest(rest), quadrant >= 2);
}

export function cosine(x: Unpacked): Real {
  const { rest, quadrant } = reduce(x);
  return signed(quadrant & 1 ? sineOfRest(rest) : cosineOfRest(rest), quadrant === 1 || quadrant === 2);
}

export function tangent(x: Unpacked): Real {
  const { rest, quadrant } = reduce(x);
  const [s, c] = [sineOfRest(rest), cosineOfRest(rest)];
  return quadrant & 1 ? signed(divide(c, s), true) : divide(s, c);
}
