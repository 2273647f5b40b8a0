/**
 * The binary floating-point formats of IEEE 754 and x87's double extended format (Intel SDM vol. 1, 4.2.2). Values are raw
 * bit patterns as bigint.
 */
export interface FloatFormat {
  readonly exponentBits: number;
  /** Bits of the significand with the integer bit: 11, 24, 53, 64. */
  readonly precision: number;
  /** The integer bit is stored (double extended only). */
  readonly explicitInteger: boolean;
  /** Bits of the whole format. */
  readonly size: number;

  // What follows from these, worked out once.
  readonly bias: number;
  /** Exponents of the lowest bit of normal values: the smallest one, which denormals have too, and the largest. */
  readonly lowestExponent: number;
  readonly highestExponent: number;
  readonly integerBit: bigint;
  readonly quietBit: bigint;
  /** Bits of the significand as stored. */
  readonly storedBits: bigint;
  readonly storedMask: bigint;
  /** All ones in the exponent, for infinities and NaNs. */
  readonly maximumBiased: number;
}

function makeFormat(size: number, exponentBits: number, precision: number): FloatFormat {
  const explicitInteger = size === 1 + exponentBits + precision;
  const bias = 2 ** (exponentBits - 1) - 1;
  const storedBits = BigInt(explicitInteger ? precision : precision - 1);
  return {
    exponentBits,
    precision,
    explicitInteger,
    size,
    bias,
    lowestExponent: 2 - bias - precision,
    highestExponent: bias + 1 - precision,
    integerBit: 1n << BigInt(precision - 1),
    quietBit: 1n << BigInt(precision - 2),
    storedBits,
    storedMask: (1n << storedBits) - 1n,
    maximumBiased: 2 ** exponentBits - 1,
  };
}

export const BINARY16 = makeFormat(16, 5, 11);
export const BINARY32 = makeFormat(32, 8, 24);
export const BINARY64 = makeFormat(64, 11, 53);
export const EXTENDED80 = makeFormat(80, 15, 64);

/** A value taken apart. */
export interface Unpacked {
  /** `unsupported`: the encodings of double extended whose integer bit contradicts the exponent. */
  readonly kind: 'zero' | 'finite' | 'infinity' | 'quiet' | 'signaling' | 'unsupported';
  readonly negative: boolean;
  /** A finite value is significand × 2^exponent. */
  readonly exponent: number;
  /** With the integer bit, for NaNs too. */
  readonly significand: bigint;
  /** Denormal or pseudo-denormal. */
  readonly denormal: boolean;
}

export function unpack(format: FloatFormat, bits: bigint): Unpacked {
  return unpackParts(format, Number(bits >> format.storedBits), bits & format.storedMask);
}

/** The same of a value whose sign and exponent (`high`) and stored significand are apart already. */
export function unpackParts(format: FloatFormat, high: number, stored: bigint): Unpacked {
  const biased = high & format.maximumBiased;
  const negative = high > format.maximumBiased;
  if (biased === 0) {
    const kind = stored === 0n ? 'zero' : 'finite';
    return { kind, negative, exponent: format.lowestExponent, significand: stored, denormal: stored !== 0n };
  }
  const significand = format.explicitInteger ? stored : stored | format.integerBit;
  const exponent = biased + format.lowestExponent - 1;
  if (format.explicitInteger && (stored & format.integerBit) === 0n)
    return { kind: 'unsupported', negative, exponent, significand, denormal: false };
  if (biased !== format.maximumBiased) return { kind: 'finite', negative, exponent, significand, denormal: false };
  if (significand === format.integerBit) return { kind: 'infinity', negative, exponent, significand, denormal: false };
  const kind = significand & format.quietBit ? 'quiet' : 'signaling';
  return { kind, negative, exponent, significand, denormal: false };
}

/** Puts sign, biased exponent and significand together; the integer bit is dropped where the format has none. */
export function pack(format: FloatFormat, negative: boolean, biased: number, significand: bigint): bigint {
  const high = negative ? biased + format.maximumBiased + 1 : biased;
  return (BigInt(high) << format.storedBits) | (significand & format.storedMask);
}

export function zero(format: FloatFormat, negative: boolean): bigint {
  return pack(format, negative, 0, 0n);
}

export function infinity(format: FloatFormat, negative: boolean): bigint {
  return pack(format, negative, format.maximumBiased, format.integerBit);
}

/** The NaN that invalid operations give ("QNaN floating-point indefinite"): negative, quiet, payload 0. */
export function defaultNan(format: FloatFormat): bigint {
  return pack(format, true, format.maximumBiased, format.integerBit | format.quietBit);
}
