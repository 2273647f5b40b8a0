import { BINARY16, type FloatFormat, pack } from '../../../src/processor/softfloat/format.ts';
import type { Random } from '../../support/random.ts';

/** Random bits, as many as a format's significand may have. */
function significand(format: FloatFormat, random: Random): bigint {
  const { precision } = format;
  const ones = (1n << BigInt(precision)) - 1n;
  const kind = random.below(8);
  const bit = 1n << BigInt(random.below(precision));
  if (kind === 0) return 0n;
  if (kind === 1) return ones;
  if (kind === 2) return bit;
  if (kind === 3) return ones ^ (bit - 1n);
  if (kind === 4) return bit - 1n;
  // Few significant bits: products and sums are halfway cases then.
  if (kind === 5) return (random.u64() & 0xfffn) << BigInt(Math.max(0, precision - 12));
  return random.u64() & ones;
}

/** A value of a format with a preference for what breaks things: zeros, denormals, NaNs, infinities, values near one. */
export function floatOperand(format: FloatFormat, random: Random): bigint {
  const negative = random.chance(0.5);
  const fraction = significand(format, random);
  const { bias, maximumBiased, integerBit } = format;
  const normal = fraction | integerBit;
  const kind = random.below(20);
  if (kind === 0) return pack(format, negative, 0, 0n);
  if (kind === 1) return pack(format, negative, maximumBiased, integerBit);
  if (kind === 2) return pack(format, negative, maximumBiased, normal);
  // With an explicit integer bit these are pseudo-denormals too …
  if (kind <= 4) return pack(format, negative, 0, fraction);
  // … and these all of what is unsupported.
  if (kind === 5) return pack(format, negative, random.below(maximumBiased + 1), fraction);
  if (kind === 6) return pack(format, negative, maximumBiased - 1 - random.below(3), normal);
  if (kind === 7) return pack(format, negative, 1 + random.below(format === BINARY16 ? 4 : format.precision + 4), normal);
  // Near the integers' ranges.
  if (kind <= 9) return pack(format, negative, Math.min(maximumBiased - 1, bias - 2 + random.below(68)), normal);
  if (kind <= 16) return pack(format, negative, bias + random.between(-3, 3), normal);
  return pack(format, negative, 1 + random.below(maximumBiased - 1), normal);
}
