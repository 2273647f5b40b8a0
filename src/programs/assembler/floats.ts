import { AssemblyError } from './diagnostic.ts';

/** Mantissa bits (without the explicit leading one, except where the format stores it) and exponent bits, by bytes. */
const FORMATS: Readonly<Record<number, { readonly mantissa: number; readonly exponent: number; readonly explicitOne: boolean }>> =
  {
    2: { mantissa: 10, exponent: 5, explicitOne: false },
    4: { mantissa: 23, exponent: 8, explicitOne: false },
    8: { mantissa: 52, exponent: 11, explicitOne: false },
    10: { mantissa: 63, exponent: 15, explicitOne: true },
    16: { mantissa: 112, exponent: 15, explicitOne: false },
  };
/** Beyond this every format has overflowed or reached zero; larger powers only cost time. */
const MAX_EXPONENT = 20_000;
const MAX_DIGITS = 5_000;

/** A decimal (1.5e-3) or hexadecimal (0x1.8p4) floating-point number as a fraction; undefined when it is none. */
function parseFraction(text: string): { numerator: bigint; denominator: bigint } | undefined {
  const plain = text.replaceAll('_', '').toLowerCase();
  const decimal = /^([0-9]*)\.?([0-9]*)(?:e([+-]?[0-9]+))?$/.exec(plain);
  const hexadecimal = /^0[xh]([0-9a-f]*)\.?([0-9a-f]*)(?:p([+-]?[0-9]+))?$/.exec(plain);
  const [, whole = '', part = '', power = '0'] = decimal ?? hexadecimal ?? [];
  if (whole + part === '' || whole.length + part.length > MAX_DIGITS) return undefined;
  const exponent = Math.max(-MAX_EXPONENT, Math.min(MAX_EXPONENT, Number(power)));
  const digits = BigInt((decimal ? '' : '0x') + whole + part);
  const base = decimal ? 10n : 2n;
  const shift = exponent - part.length * (decimal ? 1 : 4);
  return shift >= 0
    ? { numerator: digits * base ** BigInt(shift), denominator: 1n }
    : { numerator: digits, denominator: base ** BigInt(-shift) };
}

export function isFloat(text: string): boolean {
  return (
    /^[0-9][0-9_]*(\.[0-9_]*)?([eE][+-]?[0-9_]+)?$|^0[xXhH][0-9a-fA-F_]*\.[0-9a-fA-F_]*([pP][+-]?[0-9_]+)?$|^0[xXhH][0-9a-fA-F_]+[pP][+-]?[0-9_]+$/.test(
      text,
    ) && /[.eEpP]/.test(text)
  );
}

const bitLength = (value: bigint): number => value.toString(2).length;

/**
 * A floating-point number in IEEE 754 form, rounded to nearest, ties to even; little-endian bytes.
 * `size` is 2, 4, 8, 10 or 16. The text may be a special name: `__?Infinity?__`, `__?NaN?__`, `__?QNaN?__`, `__?SNaN?__`.
 */
export function floatBytes(text: string, negative: boolean, size: number): Uint8Array {
  const format = FORMATS[size];
  if (!format) throw new AssemblyError('A floating-point number stands only in dw, dd, dq, dt or do.');
  const { mantissa, exponent, explicitOne } = format;
  const maximum = (1n << BigInt(exponent)) - 1n;
  const bias = (1 << (exponent - 1)) - 1;
  const one = 1n << BigInt(mantissa);
  const assemble = (biased: bigint, fraction: bigint): Uint8Array => {
    const stored = explicitOne ? fraction : fraction & (one - 1n);
    const width = explicitOne ? mantissa + 1 : mantissa;
    const bits = (((negative ? 1n : 0n) << BigInt(exponent)) | biased) << BigInt(width);
    return toBytes(bits | stored, size);
  };
  const special = specialName(text);
  if (special) {
    const quiet = one >> 1n;
    return assemble(maximum, one | (special === 'infinity' ? 0n : special === 'snan' ? 1n : quiet));
  }
  const fraction = parseFraction(text);
  if (!fraction) throw new AssemblyError(`"${text.slice(0, 40)}" is not a floating-point number.`);
  const { numerator, denominator } = fraction;
  if (numerator === 0n) return assemble(0n, 0n);
  // Scale so that the quotient has the mantissa's bits and its leading one.
  let power = bitLength(numerator) - bitLength(denominator);
  if (compareScaled(numerator, denominator, power) < 0) power--;
  let isSubnormal = power < 1 - bias;
  const lowest = isSubnormal ? 1 - bias : power;
  const shift = mantissa - lowest;
  const top = shift >= 0 ? numerator << BigInt(shift) : numerator;
  const bottom = shift >= 0 ? denominator : denominator << BigInt(-shift);
  let quotient = top / bottom;
  const twice = (top % bottom) * 2n;
  if (twice > bottom || (twice === bottom && (quotient & 1n) === 1n)) quotient++;
  let biased = BigInt(lowest + bias);
  if (quotient === one << 1n) {
    quotient >>= 1n;
    biased++;
  }
  if (isSubnormal && quotient >= one) isSubnormal = false;
  if (biased >= maximum) return assemble(maximum, one);
  return assemble(isSubnormal ? 0n : biased, quotient);
}

/** Sign of numerator/denominator − 2^power. */
function compareScaled(numerator: bigint, denominator: bigint, power: number): number {
  const a = power < 0 ? numerator << BigInt(-power) : numerator;
  const b = power > 0 ? denominator << BigInt(power) : denominator;
  return a < b ? -1 : a > b ? 1 : 0;
}

export function specialName(text: string): 'infinity' | 'nan' | 'snan' | undefined {
  const name = /^__\??(infinity|nan|qnan|snan)\??__$/i.exec(text)?.[1]?.toLowerCase();
  return name === 'qnan' ? 'nan' : name === 'infinity' || name === 'nan' || name === 'snan' ? name : undefined;
}

function toBytes(value: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => Number((value >> BigInt(index * 8)) & 0xffn));
}
