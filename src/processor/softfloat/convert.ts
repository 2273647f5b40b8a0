import { noticeDenormals } from './arithmetic.ts';
import { type FloatEnvironment, FloatFlag, isStopped, operand, Rounding, type RoundingMode } from './environment.ts';
import { BINARY16, type FloatFormat, infinity, pack, type Unpacked, unpack, zero } from './format.ts';
import { invalid, isNan, propagateNan } from './nan.ts';
import { roundShift, roundToFormat } from './rounding.ts';

/**
 * A value of a narrower format as an operand among those of a wider one: its NaNs have their payload at the left there. It is
 * exact, and raises nothing.
 */
export function widened(from: FloatFormat, to: FloatFormat, value: Unpacked): Unpacked {
  if (value.kind === 'finite' || value.kind === 'zero') return value;
  return { ...value, significand: value.significand << BigInt(to.precision - from.precision) };
}

/**
 * A value of one format in another one. Half precision is a storage format (Intel SDM vol. 1, 14.4): its denormals are
 * ordinary numbers, whatever DAZ and FTZ say.
 */
export function convert(environment: FloatEnvironment, from: FloatFormat, to: FloatFormat, a: bigint): bigint {
  const x = from === BINARY16 ? unpack(from, a) : operand(environment, from, a);
  return convertValue(environment, from, to, x, from !== BINARY16);
}

/** The same of a value taken apart; `noticesDenormals`: a denormal raises DE (x87's stores don't). */
export function convertValue(
  environment: FloatEnvironment,
  from: FloatFormat,
  to: FloatFormat,
  x: Unpacked,
  noticesDenormals: boolean,
): bigint {
  environment.roundedUp = false;
  if (x.kind === 'unsupported') return invalid(environment, to);
  if (isNan(x)) {
    if (x.kind === 'signaling') environment.flags |= FloatFlag.IE;
    const shift = BigInt(Math.abs(to.precision - from.precision));
    const payload = to.precision >= from.precision ? x.significand << shift : x.significand >> shift;
    return pack(to, x.negative, to.maximumBiased, payload | to.quietBit);
  }
  if (x.kind === 'infinity') return infinity(to, x.negative);
  if (x.kind === 'zero') return zero(to, x.negative);
  if (noticesDenormals) noticeDenormals(environment, x);
  const room = to.precision - from.precision;
  // Every normal value of a format is one of a larger format.
  if (room > 0 && !x.denormal && !isStopped(environment))
    return pack(to, x.negative, x.exponent - room - to.lowestExponent + 1, x.significand << BigInt(room));
  if (to !== BINARY16 || !environment.ftz) return roundToFormat(environment, to, x.negative, x.exponent, x.significand);
  const gradual = { ...environment, ftz: false };
  const result = roundToFormat(gradual, to, x.negative, x.exponent, x.significand);
  environment.flags = gradual.flags;
  return result;
}

/** The integer next to a, in a's format. `suppressInexact`: without PE, as ROUNDSS may have it. */
export function roundToInt(
  environment: FloatEnvironment,
  format: FloatFormat,
  a: bigint,
  rounding: RoundingMode | 'current',
  suppressInexact: boolean,
): bigint {
  return roundValueToInt(environment, format, operand(environment, format, a), rounding, suppressInexact, false);
}

/** The same of a value taken apart; `noticesDenormals`: a denormal raises DE (FRNDINT; ROUNDSS doesn't). */
export function roundValueToInt(
  environment: FloatEnvironment,
  format: FloatFormat,
  x: Unpacked,
  rounding: RoundingMode | 'current',
  suppressInexact: boolean,
  noticesDenormals: boolean,
): bigint {
  environment.roundedUp = false;
  const nan = propagateNan(environment, format, x);
  if (nan !== undefined) return nan;
  if (x.kind === 'zero') return zero(format, x.negative);
  if (noticesDenormals) noticeDenormals(environment, x);
  if (x.kind === 'infinity') return infinity(format, x.negative);
  const mode = rounding === 'current' ? environment.rounding : rounding;
  const { value, inexact, up } = roundShift(mode, x.negative, x.significand, -x.exponent);
  if (isStopped(environment)) return 0n;
  if (inexact && !suppressInexact) environment.flags |= FloatFlag.PE;
  if (value === 0n) {
    environment.roundedUp = up;
    return zero(format, x.negative);
  }
  const result = roundToFormat(environment, format, x.negative, 0, value);
  environment.roundedUp = up;
  return result;
}

/**
 * The magnitude of a as an integer, rounded as the environment says, or towards zero with `truncate`, and PE if it isn't
 * exact; undefined if it is above the limit or no number.
 */
export function toIntMagnitude(environment: FloatEnvironment, x: Unpacked, limit: bigint, truncate: boolean): bigint | undefined {
  environment.roundedUp = false;
  if (x.kind === 'zero') return 0n;
  if (x.kind !== 'finite' || x.exponent > 64) return undefined;
  const { value, inexact, up } = roundShift(
    truncate ? Rounding.ZERO : environment.rounding,
    x.negative,
    x.significand,
    -x.exponent,
  );
  if (value > limit) return undefined;
  if (inexact) environment.flags |= FloatFlag.PE;
  environment.roundedUp = up;
  return value;
}

/**
 * a as a two's complement integer, given as an unsigned bit pattern: rounded as the environment says, or towards zero with
 * `truncate`. What doesn't fit raises IE and gives the integer indefinite, 0x8000….
 */
export function toInt(
  environment: FloatEnvironment,
  format: FloatFormat,
  a: bigint,
  bits: 16 | 32 | 64,
  truncate: boolean,
): bigint {
  return toIntValue(environment, operand(environment, format, a), bits, truncate);
}

/** The same of a value taken apart. */
export function toIntValue(environment: FloatEnvironment, x: Unpacked, bits: 16 | 32 | 64, truncate: boolean): bigint {
  const sign = 1n << BigInt(bits - 1);
  const magnitude = toIntMagnitude(environment, x, x.negative ? sign : sign - 1n, truncate);
  if (magnitude !== undefined) return BigInt.asUintN(bits, x.negative ? -magnitude : magnitude);
  environment.flags |= FloatFlag.IE;
  return sign;
}

/** A signed integer in the format. */
export function fromInt(environment: FloatEnvironment, format: FloatFormat, value: bigint): bigint {
  environment.roundedUp = false;
  if (value === 0n) return zero(format, false);
  return roundToFormat(environment, format, value < 0n, 0, value < 0n ? -value : value);
}
