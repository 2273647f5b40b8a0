import { noticeDenormals } from './arithmetic.ts';
import { type FloatEnvironment, FloatFlag, isStopped, operand, Rounding, type RoundingMode } from './environment.ts';
import { BINARY16, type FloatFormat, infinity, pack, unpack, zero } from './format.ts';
import { invalid, isNan, propagateNan } from './nan.ts';
import { roundShift, roundToFormat } from './rounding.ts';

/**
 * A value of one format in another one. Half precision is a storage format (Intel SDM vol. 1, 14.4): its denormals are
 * ordinary numbers, whatever DAZ and FTZ say. `noticesDenormals`: a denormal raises DE (x87's stores don't).
 */
export function convert(
  environment: FloatEnvironment,
  from: FloatFormat,
  to: FloatFormat,
  a: bigint,
  noticesDenormals = true,
): bigint {
  environment.roundedUp = false;
  const x = from === BINARY16 ? unpack(from, a) : operand(environment, from, a);
  if (x.kind === 'unsupported') return invalid(environment, to);
  if (isNan(x)) {
    if (x.kind === 'signaling') environment.flags |= FloatFlag.IE;
    const shift = BigInt(Math.abs(to.precision - from.precision));
    const payload = to.precision >= from.precision ? x.significand << shift : x.significand >> shift;
    return pack(to, x.negative, to.maximumBiased, payload | to.quietBit);
  }
  if (x.kind === 'infinity') return infinity(to, x.negative);
  if (x.kind === 'zero') return zero(to, x.negative);
  if (noticesDenormals && from !== BINARY16) noticeDenormals(environment, x);
  if (to !== BINARY16 || !environment.ftz) return roundToFormat(environment, to, x.negative, x.exponent, x.significand);
  const gradual = { ...environment, ftz: false };
  const result = roundToFormat(gradual, to, x.negative, x.exponent, x.significand);
  environment.flags = gradual.flags;
  return result;
}

/**
 * The integer next to a, in a's format. `suppressInexact`: without PE (ROUNDSS). `noticesDenormals`: a denormal raises DE
 * (FRNDINT; ROUNDSS doesn't).
 */
export function roundToInt(
  environment: FloatEnvironment,
  format: FloatFormat,
  a: bigint,
  rounding: RoundingMode | 'current',
  suppressInexact: boolean,
  noticesDenormals = false,
): bigint {
  environment.roundedUp = false;
  const x = operand(environment, format, a);
  const nan = propagateNan(environment, format, x);
  if (nan !== undefined) return nan;
  if (x.kind === 'zero') return zero(format, x.negative);
  if (noticesDenormals) noticeDenormals(environment, x);
  if (x.kind === 'infinity' || x.exponent >= 0 || isStopped(environment)) return a;
  const mode = rounding === 'current' ? environment.rounding : rounding;
  const { value, inexact, up } = roundShift(mode, x.negative, x.significand, -x.exponent);
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
 * a as a two's complement integer of 16, 32 or 64 bits, given as an unsigned bit pattern: rounded as the environment says, or
 * towards zero with `truncate`. What doesn't fit raises IE and gives the integer indefinite, 0x8000….
 */
export function toInt(
  environment: FloatEnvironment,
  format: FloatFormat,
  a: bigint,
  bits: 16 | 32 | 64,
  truncate: boolean,
): bigint {
  environment.roundedUp = false;
  const x = operand(environment, format, a);
  if (x.kind === 'zero') return 0n;
  const limit = 1n << BigInt(bits - 1);
  if (x.kind === 'finite' && x.exponent < bits) {
    const mode = truncate ? Rounding.ZERO : environment.rounding;
    const { value, inexact, up } = roundShift(mode, x.negative, x.significand, -x.exponent);
    if (value < limit || (x.negative && value === limit)) {
      if (inexact) environment.flags |= FloatFlag.PE;
      environment.roundedUp = up;
      return BigInt.asUintN(bits, x.negative ? -value : value);
    }
  }
  environment.flags |= FloatFlag.IE;
  return limit;
}

/** A signed integer in the format. */
export function fromInt(environment: FloatEnvironment, format: FloatFormat, value: bigint): bigint {
  environment.roundedUp = false;
  if (value === 0n) return zero(format, false);
  return roundToFormat(environment, format, value < 0n, 0, value < 0n ? -value : value);
}
