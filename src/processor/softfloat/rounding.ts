import { bitLength } from './bit-length.ts';
import { type FloatEnvironment, FloatFlag, isStopped, Rounding, type RoundingMode } from './environment.ts';
import { type FloatFormat, infinity, pack, zero } from './format.ts';

export interface Rounded {
  readonly value: bigint;
  readonly inexact: boolean;
  /** The magnitude was increased. */
  readonly up: boolean;
}

/** Drops the lowest `shift` bits of a magnitude; adds zeros where `shift` is negative. */
export function roundShift(rounding: RoundingMode, negative: boolean, magnitude: bigint, shift: number): Rounded {
  if (shift <= 0) return { value: magnitude << BigInt(-shift), inexact: false, up: false };
  const count = BigInt(shift);
  const value = magnitude >> count;
  const rest = magnitude - (value << count);
  if (rest === 0n) return { value, inexact: false, up: false };
  let up: boolean;
  if (rounding === Rounding.NEAREST) {
    const half = 1n << (count - 1n);
    up = rest > half || (rest === half && (value & 1n) === 1n);
  } else up = rounding === (negative ? Rounding.DOWN : Rounding.UP);
  return { value: up ? value + 1n : value, inexact: true, up };
}

/** Masked overflow: infinity, or the largest finite value where the rounding goes towards zero. */
function overflow(environment: FloatEnvironment, format: FloatFormat, negative: boolean, precision: number): bigint {
  const { rounding } = environment;
  environment.flags |= FloatFlag.OE | FloatFlag.PE;
  environment.roundedUp = rounding === Rounding.NEAREST || rounding === (negative ? Rounding.DOWN : Rounding.UP);
  if (environment.roundedUp) return infinity(format, negative);
  const ones = (1n << BigInt(precision)) - 1n;
  return pack(format, negative, format.maximumBiased - 1, ones << BigInt(format.precision - precision));
}

/** What exponents are wrapped by where overflow or underflow is not masked (Intel SDM vol. 1, 4.9.1.5). */
const wrap = (format: FloatFormat): number => 3 * 2 ** (format.exponentBits - 2);

/** Overflow, not masked: the exponent is wrapped. What isn't within the range then, which only FSCALE can give, is infinity. */
function wrapOverflow(
  environment: FloatEnvironment,
  format: FloatFormat,
  negative: boolean,
  biased: number,
  stored: bigint,
): bigint {
  environment.flags |= FloatFlag.OE;
  const wrapped = biased - wrap(format);
  if (wrapped < format.maximumBiased || !format.explicitInteger)
    return pack(format, negative, wrapped & format.maximumBiased, stored);
  environment.flags |= FloatFlag.PE;
  environment.roundedUp = true;
  return infinity(format, negative);
}

/** A magnitude below the normal ones: it may still be rounded up to the smallest of them. */
function roundTiny(
  environment: FloatEnvironment,
  format: FloatFormat,
  negative: boolean,
  exponent: number,
  magnitude: bigint,
): bigint {
  const precision = environment.precision ?? format.precision;
  const { rounding, masks } = environment;
  const padding = format.precision - precision;
  /** Exponent of the lowest bit that the precision leaves of denormals. */
  const lowest = format.lowestExponent + padding;
  const spare = bitLength(magnitude) - precision;
  // As if exponents were unbounded.
  const free = roundShift(rounding, negative, magnitude, spare);
  const carried = free.value >> BigInt(precision) !== 0n;
  const biased = exponent + spare - lowest + (carried ? 2 : 1);
  const isTiny = biased < 1;
  if (isTiny && !(masks & FloatFlag.UE)) {
    const wrapped = biased + wrap(format);
    if (wrapped <= 0 && format.explicitInteger) {
      environment.flags |= FloatFlag.UE | FloatFlag.PE;
      return zero(format, negative);
    }
    environment.flags |= FloatFlag.UE | (free.inexact ? FloatFlag.PE : 0);
    environment.roundedUp = free.up;
    const stored = carried ? format.integerBit : free.value << BigInt(padding);
    return pack(format, negative, wrapped & format.maximumBiased, stored);
  }
  if (isTiny && environment.ftz) {
    environment.flags |= FloatFlag.UE | FloatFlag.PE;
    return zero(format, negative);
  }
  const denormal = roundShift(rounding, negative, magnitude, lowest - exponent);
  environment.roundedUp = denormal.up;
  if (denormal.inexact) environment.flags |= FloatFlag.PE | (isTiny ? FloatFlag.UE : 0);
  const stored = denormal.value << BigInt(padding);
  return pack(format, negative, stored >= format.integerBit ? 1 : 0, stored);
}

/**
 * Rounds the magnitude significand × 2^exponent (significand > 0; `sticky`: and a little more) to a value of the format, with
 * overflow, underflow and inexact as they are masked. Tiny means: after rounding as if exponents were unbounded.
 */
export function roundToFormat(
  environment: FloatEnvironment,
  format: FloatFormat,
  negative: boolean,
  exponent: number,
  significand: bigint,
  sticky = false,
): bigint {
  environment.roundedUp = false;
  if (isStopped(environment)) return 0n;
  if (sticky) {
    // A few bits more than the precision, and a last one for all the rest.
    const spare = Math.max(1, format.precision + 3 - bitLength(significand));
    return roundToFormat(environment, format, negative, exponent - spare, (significand << BigInt(spare)) | 1n);
  }
  const precision = environment.precision ?? format.precision;
  const length = bitLength(significand);
  const uncarried = exponent + length - format.precision - format.lowestExponent + 1;
  if (uncarried < 1) return roundTiny(environment, format, negative, exponent, significand);
  const { value, inexact, up } = roundShift(environment.rounding, negative, significand, length - precision);
  // A carry out of the significand makes it the next power of two.
  const carried = up && value >> BigInt(precision) !== 0n;
  const padding = format.precision - precision;
  const stored = carried ? format.integerBit : padding === 0 ? value : value << BigInt(padding);
  const biased = carried ? uncarried + 1 : uncarried;
  if (biased >= format.maximumBiased && environment.masks & FloatFlag.OE)
    return overflow(environment, format, negative, precision);
  if (inexact) {
    environment.flags |= FloatFlag.PE;
    environment.roundedUp = up;
  }
  if (biased >= format.maximumBiased) return wrapOverflow(environment, format, negative, biased, stored);
  return pack(format, negative, biased, stored);
}
