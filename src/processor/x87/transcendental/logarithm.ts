import { noticeDenormals } from '../../softfloat/arithmetic.ts';
import { FloatFlag, isStopped } from '../../softfloat/environment.ts';
import { EXTENDED80, infinity, pack, type Unpacked, zero } from '../../softfloat/format.ts';
import { invalid, propagateNan } from '../../softfloat/nan.ts';
import { roundToFormat } from '../../softfloat/rounding.ts';
import type { FpuUnit } from '../unit.ts';
import { LOG2E } from './constants.ts';
import {
  divide,
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

/** √2 is about 1.414: mantissas are taken from about ½√2 to √2, whose logarithms are small. */
const ROOT_2 = (ONE * 1414n) / 1000n;

/** log₂(1 + d) for d of about −0.3 to 0.42, by 2 artanh(d ÷ (2 + d)). */
function logarithmNear1(d: Real): Real {
  const magnitude = toFixed(d);
  const sum = fromFixed(2n * ONE + (d.negative ? -magnitude : magnitude));
  const s = divide(d, sum);
  const square = multiplyFixed(toFixed(s), toFixed(s));
  let power = ONE;
  const ratio = series((_, index) => {
    power = multiplyFixed(power, square);
    return power / BigInt(2 * index + 1);
  }, false);
  return multiply({ ...s, exponent: s.exponent + 1 }, multiply(fromFixed(ratio), fromFixed(LOG2E)));
}

/** log₂ of a positive number other than 1, and whether it is exact. */
function logarithm(x: Real): { readonly value: Real; readonly exact: boolean } {
  let power = topOf(x) - 1;
  const one = 1n << BigInt(power - x.exponent);
  if (x.significand === one)
    return { value: { negative: power < 0, exponent: 0, significand: BigInt(Math.abs(power)) }, exact: true };
  const isHigh = toFixed({ ...x, exponent: x.exponent - power }) > ROOT_2;
  if (isHigh) power++;
  const unit = isHigh ? one << 1n : one;
  const difference = x.significand - unit;
  const d = { negative: difference < 0n, exponent: x.exponent - power, significand: difference < 0n ? -difference : difference };
  const fraction = logarithmNear1(d);
  if (power === 0) return { value: fraction, exact: false };
  const fixed = toFixed(fraction);
  return { value: fromFixed(BigInt(power) * ONE + (fraction.negative ? -fixed : fixed)), exact: false };
}

/** y × a logarithm. The exceptions are those of a result that isn't exact, whether it is or not. */
function product(unit: FpuUnit, y: Unpacked, { value, exact }: { value: Real; exact: boolean }): bigint {
  const { environment } = unit;
  const real = multiply(fromValue(y), value);
  if (!exact) return roundInexact(environment, real);
  const raising = { ...environment };
  roundInexact(raising, real);
  const result = roundToFormat(environment, EXTENDED80, real.negative, real.exponent, real.significand);
  environment.flags = raising.flags;
  return result;
}

/** FYL2X: y × log₂ x, with y in ST(1) and x in ST(0). */
export function logarithmTimes(unit: FpuUnit): bigint {
  const { environment } = unit;
  const x = unit.value(0);
  const y = unit.value(1);
  const nan = propagateNan(environment, EXTENDED80, x, y);
  if (nan !== undefined) return nan;
  if (x.negative && x.kind !== 'zero') return invalid(environment, EXTENDED80);
  const isOne = x.significand === EXTENDED80.integerBit && x.exponent === -63 && x.kind === 'finite';
  if (x.kind === 'infinity' ? y.kind === 'zero' : isOne && y.kind === 'infinity') return invalid(environment, EXTENDED80);
  if (x.kind === 'zero') {
    if (y.kind === 'zero') return invalid(environment, EXTENDED80);
    if (y.kind === 'finite') environment.flags |= FloatFlag.ZE;
    return infinity(EXTENDED80, !y.negative);
  }
  noticeDenormals(environment, x, y);
  const isBelow1 = x.kind === 'finite' && x.exponent + 63 < 0;
  if (x.kind === 'infinity' || y.kind === 'infinity') return infinity(EXTENDED80, y.negative !== isBelow1);
  if (isOne || y.kind === 'zero') return zero(EXTENDED80, y.negative !== isBelow1);
  return product(unit, y, logarithm(fromValue(x)));
}

/** FYL2XP1: y × log₂(x + 1), with y in ST(1) and x in ST(0). Of −1 and below, where nothing is promised, it is x itself. */
export function logarithmOf1PlusTimes(unit: FpuUnit): bigint {
  const { environment } = unit;
  const x = unit.value(0);
  const y = unit.value(1);
  const nan = propagateNan(environment, EXTENDED80, x, y);
  if (nan !== undefined) return nan;
  const negative = x.negative !== y.negative;
  if (y.kind === 'infinity' ? x.kind === 'zero' : x.kind === 'infinity' && y.kind === 'zero')
    return invalid(environment, EXTENDED80);
  if (x.kind === 'infinity' && x.negative) return invalid(environment, EXTENDED80);
  noticeDenormals(environment, x, y);
  if (x.kind === 'infinity' || y.kind === 'infinity') return infinity(EXTENDED80, negative);
  if (x.kind === 'zero' || y.kind === 'zero') return zero(EXTENDED80, negative);
  const real = fromValue(x);
  // 1 + x, which is near 1 where it matters.
  const isNear = topOf(real) <= -2;
  if (isNear) return product(unit, y, { value: logarithmNear1(real), exact: false });
  const scale = Math.min(0, x.exponent);
  const one = 1n << BigInt(-scale);
  const magnitude = x.significand << BigInt(x.exponent - scale);
  const sum = x.negative ? one - magnitude : one + magnitude;
  if (sum <= 0n) {
    if (!isStopped(environment)) environment.flags |= FloatFlag.PE;
    return pack(EXTENDED80, true, x.exponent + 63 + EXTENDED80.bias, x.significand);
  }
  return product(unit, y, logarithm({ negative: false, exponent: scale, significand: sum }));
}
