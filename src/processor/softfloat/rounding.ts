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

/**
 * Rounds the magnitude significand × 2^exponent (significand > 0; `sticky`: and a little more) to a value of the format, with
 * overflow, underflow and inexact as they are masked. Tiny means: after rounding as if exponents were unbounded. What isn't
 * within the range even with a wrapped exponent, which only FSCALE can give, becomes zero or infinity.
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
  const precision = environment.precision ?? format.precision;
  const { rounding, masks } = environment;
  const length = bitLength(significand);
  // A few bits more than the precision and a last one for all the rest.
  const spare = Math.max(0, precision + 2 - length);
  let magnitude = significand;
  let scale = exponent;
  if (sticky) {
    magnitude = (magnitude << BigInt(spare + 1)) | 1n;
    scale -= spare + 1;
  }
  const unbounded = bitLength(magnitude) - precision;
  /** Exponent of the lowest bit that the precision leaves; the format's significand may be longer. */
  const lowest = format.lowestExponent + format.precision - precision;
  const padding = BigInt(format.precision - precision);
  const biasedOf = (lowestBit: number): number => lowestBit - lowest + 1;
  const one = 1n << BigInt(precision);

  if (scale + unbounded < lowest) {
    const free = roundShift(rounding, negative, magnitude, unbounded);
    const carried = free.value === one;
    if (!carried || scale + unbounded + 1 < lowest) {
      if (!(masks & FloatFlag.UE)) {
        const biased = biasedOf(scale + unbounded) + (carried ? 1 : 0) + 3 * 2 ** (format.exponentBits - 2);
        if (biased <= 0 && format.explicitInteger) {
          environment.flags |= FloatFlag.UE | FloatFlag.PE;
          return zero(format, negative);
        }
        environment.flags |= FloatFlag.UE | (free.inexact ? FloatFlag.PE : 0);
        environment.roundedUp = free.up;
        return pack(format, negative, biased & format.maximumBiased, (carried ? free.value >> 1n : free.value) << padding);
      }
      if (environment.ftz) {
        environment.flags |= FloatFlag.UE | FloatFlag.PE;
        return zero(format, negative);
      }
      const denormal = roundShift(rounding, negative, magnitude, lowest - scale);
      environment.roundedUp = denormal.up;
      if (denormal.inexact) environment.flags |= FloatFlag.UE | FloatFlag.PE;
      const stored = denormal.value << padding;
      return pack(format, negative, stored >= format.integerBit ? 1 : 0, stored);
    }
  }

  const shift = Math.max(unbounded, lowest - scale);
  let { value, inexact, up } = roundShift(rounding, negative, magnitude, shift);
  let biased = biasedOf(scale + shift);
  if (value === one) {
    value >>= 1n;
    biased++;
  }
  if (biased >= format.maximumBiased) {
    if (masks & FloatFlag.OE) return overflow(environment, format, negative, precision);
    environment.flags |= FloatFlag.OE;
    biased -= 3 * 2 ** (format.exponentBits - 2);
    if (biased >= format.maximumBiased && format.explicitInteger) {
      environment.flags |= FloatFlag.PE;
      environment.roundedUp = true;
      return infinity(format, negative);
    }
  }
  if (inexact) environment.flags |= FloatFlag.PE;
  environment.roundedUp = up;
  return pack(format, negative, biased & format.maximumBiased, value << padding);
}
