/** Floating-point numbers as C's `%g` prints them, with the digits that tell any two apart. */

const DIGITS: Readonly<Record<number, number>> = { 4: 9, 8: 17 };

/** Text of a float of 4, 8, 10, 12 or 16 bytes (the last three: x87 extended). */
export function formatFloat(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 4 || bytes.length === 8) {
    const value = readFloat(bytes);
    if (Number.isNaN(value)) return nan(bytes);
    if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
    return general(Object.is(value, -0) ? '-' : value < 0 ? '-' : '', ...decimals(Math.abs(value), DIGITS[bytes.length] ?? 17));
  }
  if (bytes.length < 10) return '<unknown floating-point format>';
  const mantissa = view.getBigUint64(0, true);
  const high = view.getUint16(8, true);
  const sign = high & 0x8000 ? '-' : '';
  const exponent = high & 0x7fff;
  if (exponent === 0x7fff) return BigInt.asUintN(63, mantissa) === 0n ? `${sign}inf` : `${sign}nan(0x${mantissa.toString(16)})`;
  // The highest bit of the mantissa is explicit, and must be set (Intel SDM volume 1, 8.2.2).
  if (exponent !== 0 && mantissa >> 63n === 0n) return '<invalid float value>';
  return general(sign, ...exactDecimals(mantissa, Math.max(exponent, 1) - 16_383 - 63, 21));
}

export function readFloat(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 4) return view.getFloat32(0, true);
  if (bytes.length === 8) return view.getFloat64(0, true);
  if (bytes.length < 10) return Number.NaN;
  const high = view.getUint16(8, true);
  const value = Number(view.getBigUint64(0, true)) * 2 ** (Math.max(high & 0x7fff, 1) - 16_383 - 63);
  return high & 0x8000 ? -value : value;
}

function nan(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isDouble = bytes.length === 8;
  const bits = isDouble ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
  const fraction = BigInt.asUintN(isDouble ? 52 : 23, bits);
  return `${bits >> (isDouble ? 63n : 31n) ? '-' : ''}nan(0x${fraction.toString(16)})`;
}

/** The significant digits of a number and the power of ten of the first one. */
function decimals(value: number, digits: number): [string, number] {
  if (value === 0) return ['0', 0];
  const [mantissa = '0', exponent = '0'] = value.toExponential(digits - 1).split('e');
  return [mantissa.replace('.', ''), Number(exponent)];
}

/** The same for mantissa × 2^exponent, rounded to nearest. */
function exactDecimals(mantissa: bigint, exponent: number, digits: number): [string, number] {
  if (mantissa === 0n) return ['0', 0];
  // A first estimate of the power of ten; the loop settles it.
  let power = Math.floor((mantissa.toString(2).length - 1 + exponent) * Math.LOG10E * Math.LN2);
  for (;;) {
    const scale = digits - 1 - power;
    const numerator = mantissa * (scale > 0 ? 10n ** BigInt(scale) : 1n) * (exponent > 0 ? 1n << BigInt(exponent) : 1n);
    const denominator = (scale < 0 ? 10n ** BigInt(-scale) : 1n) * (exponent < 0 ? 1n << BigInt(-exponent) : 1n);
    const text = ((numerator * 2n + denominator) / (denominator * 2n)).toString();
    if (text.length === digits) return [text, power];
    power += text.length > digits ? 1 : -1;
  }
}

/** `%g`: plain notation for exponents from -5 up to the precision, without trailing zeroes. */
function general(sign: string, digits: string, exponent: number): string {
  const precision = Math.max(digits.length, 1);
  const trimmed = digits.replace(/0+$/, '') || '0';
  if (exponent < -4 || (exponent >= precision && digits !== '0')) {
    const fraction = trimmed.slice(1);
    const size = Math.abs(exponent).toString().padStart(2, '0');
    return `${sign}${trimmed[0]}${fraction === '' ? '' : `.${fraction}`}e${exponent < 0 ? '-' : '+'}${size}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${trimmed}`;
  const whole = trimmed.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  const fraction = trimmed.slice(exponent + 1);
  return `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}
