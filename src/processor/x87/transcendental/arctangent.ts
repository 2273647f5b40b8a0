import { noticeDenormals } from '../../softfloat/arithmetic.ts';
import { EXTENDED80, type Unpacked, zero } from '../../softfloat/format.ts';
import { propagateNan } from '../../softfloat/nan.ts';
import type { FpuUnit } from '../unit.ts';
import { PI } from './constants.ts';
import {
  divide,
  divideFixed,
  FRACTION,
  fromFixed,
  fromValue,
  multiply,
  multiplyFixed,
  ONE,
  type Real,
  roundInexact,
  series,
  toFixed,
  topOf,
} from './real.ts';

/** √value in fixed point. */
function rootFixed(value: bigint): bigint {
  const radicand = value << BigInt(FRACTION);
  let root = BigInt(Math.floor(Math.sqrt(Number(value) / 2 ** FRACTION) * 2 ** 53)) << BigInt(FRACTION - 53);
  for (let step = 0; step < 3; step++) root = (root + radicand / root) >> 1n;
  return root;
}

/** arctan t ÷ t = 1 − t² ÷ 3 + t⁴ ÷ 5 − … for small t in fixed point. */
function ratioOf(t: bigint): bigint {
  const square = multiplyFixed(t, t);
  let power = ONE;
  return series((_, index) => {
    power = -multiplyFixed(power, square);
    return power / BigInt(2 * index + 1);
  }, true);
}

/** The arctangent of t, 0 < t ≤ 1. */
function arctangentOf(t: Real): Real {
  if (topOf(t) < -16) return multiply(t, fromFixed(ratioOf(toFixed(t))));
  // arctan t = 2 arctan(t ÷ (1 + √(1 + t²))), three times.
  let fixed = toFixed(t);
  for (let step = 0; step < 3; step++) fixed = divideFixed(fixed, ONE + rootFixed(ONE + multiplyFixed(fixed, fixed)));
  const { exponent, significand } = fromFixed(multiplyFixed(fixed, ratioOf(fixed)));
  return { negative: false, exponent: exponent + 3, significand };
}

/** The angle of the point (x, y), both not zero and not infinite, x and y taken as positive. */
function firstQuadrant(y: Real, x: Real): Real {
  const quotient = divide({ ...y, negative: false }, { ...x, negative: false });
  if (topOf(quotient) <= 0) return arctangentOf(quotient);
  const inverse = arctangentOf(divide({ ...x, negative: false }, { ...y, negative: false }));
  return fromFixed(PI / 2n - toFixed(inverse));
}

/** FPATAN: the angle of the point (x, y), with y in ST(1) and x in ST(0); from −π to π. */
export function angle(unit: FpuUnit): bigint {
  const { environment } = unit;
  const x = unit.value(0);
  const y = unit.value(1);
  const nan = propagateNan(environment, EXTENDED80, x, y);
  if (nan !== undefined) return nan;
  noticeDenormals(environment, x, y);
  const result = (fixed: bigint): bigint => roundInexact(environment, { ...fromFixed(fixed), negative: y.negative });
  const isInfinite = (value: Unpacked): boolean => value.kind === 'infinity';
  if (isInfinite(x) && isInfinite(y)) return result(x.negative ? (PI * 3n) / 4n : PI / 4n);
  if (isInfinite(y)) return result(PI / 2n);
  if (y.kind === 'zero' || isInfinite(x)) return x.negative ? result(PI) : zero(EXTENDED80, y.negative);
  if (x.kind === 'zero') return result(PI / 2n);
  const positive = firstQuadrant(fromValue(y), fromValue(x));
  if (!x.negative) return roundInexact(environment, { ...positive, negative: y.negative });
  return result(PI - toFixed(positive));
}
