import { noticeDenormals } from '../../softfloat/arithmetic.ts';
import { FloatFlag } from '../../softfloat/environment.ts';
import { EXTENDED80, infinity, pack, type Unpacked, zero } from '../../softfloat/format.ts';
import { propagateNan } from '../../softfloat/nan.ts';
import type { FpuUnit } from '../unit.ts';
import { LN2 } from './constants.ts';
import { fromFixed, fromValue, multiply, multiplyFixed, roundInexact, series, toFixed, topOf } from './real.ts';

const isMinusOne = ({ negative, significand, exponent }: Unpacked): boolean =>
  negative && significand === EXTENDED80.integerBit && exponent === -63;
/** F2XM1: 2^x − 1 for |x| ≤ 1. Beyond, where nothing is promised, the operand stays as it is, with PE. */
export function powerOf2Less1(unit: FpuUnit): bigint {
  const { environment } = unit;
  const x = unit.value(0);
  const nan = propagateNan(environment, EXTENDED80, x);
  if (nan !== undefined) return nan;
  if (x.kind === 'zero') return zero(EXTENDED80, x.negative);
  noticeDenormals(environment, x);
  const one = (negative: boolean, biased: number): bigint => pack(EXTENDED80, negative, biased, EXTENDED80.integerBit);
  if (x.kind === 'infinity') return x.negative ? one(true, EXTENDED80.bias) : infinity(EXTENDED80, false);
  const real = fromValue(x);
  if (topOf(real) > 0) {
    environment.flags |= FloatFlag.PE;
    if (isMinusOne(x)) return one(true, EXTENDED80.bias - 1);
    return pack(EXTENDED80, x.negative, x.exponent + 63 + EXTENDED80.bias, x.significand);
  }
  const z = multiplyFixed(toFixed(real), LN2);
  // (e^z − 1) ÷ z = 1 + z ÷ 2! + z² ÷ 3! + …
  const signed = x.negative ? -z : z;
  const ratio = series((term, index) => multiplyFixed(term, signed) / BigInt(index + 1), x.negative);
  return roundInexact(environment, multiply(multiply(real, fromFixed(LN2)), fromFixed(ratio)));
}
