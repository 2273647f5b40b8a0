import { bitLength } from '../softfloat/bit-length.ts';
import { toIntMagnitude } from '../softfloat/convert.ts';
import { type FloatEnvironment, FloatFlag } from '../softfloat/environment.ts';
import { EXTENDED80, pack, type Unpacked } from '../softfloat/format.ts';

/** The packed decimal indefinite of FBSTP (Intel SDM vol. 1, 4.7). */
export const INDEFINITE_DECIMAL = 0xffff_c000_0000_0000_0000n;

const DIGITS = 18n;
const LIMIT = 10n ** DIGITS;

/** FBLD: the double extended value of 18 packed decimal digits and a sign. Digits above 9 count as what they are. */
export function fromDecimal(bits: bigint): bigint {
  let magnitude = 0n;
  for (let digit = DIGITS - 1n; digit >= 0n; digit--) magnitude = magnitude * 10n + ((bits >> (digit * 4n)) & 15n);
  const negative = bits >> 79n === 1n;
  if (magnitude === 0n) return pack(EXTENDED80, negative, 0, 0n);
  const length = bitLength(magnitude);
  return pack(EXTENDED80, negative, EXTENDED80.bias + length - 1, magnitude << BigInt(64 - length));
}

/** FBSTP: rounded to an integer as the environment says; IE and the indefinite if it has more digits. */
export function toDecimal(environment: FloatEnvironment, value: Unpacked): bigint {
  const magnitude = toIntMagnitude(environment, value, LIMIT - 1n, false);
  if (magnitude === undefined) {
    environment.flags |= FloatFlag.IE;
    return INDEFINITE_DECIMAL;
  }
  let packed = 0n;
  let rest = magnitude;
  for (let digit = 0n; digit < DIGITS; digit++) {
    packed |= (rest % 10n) << (digit * 4n);
    rest /= 10n;
  }
  return packed | (value.negative ? 1n << 79n : 0n);
}
