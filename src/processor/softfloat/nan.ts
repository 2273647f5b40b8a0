import { type FloatEnvironment, FloatFlag } from './environment.ts';
import { defaultNan, type FloatFormat, pack, type Unpacked } from './format.ts';

export const isNan = ({ kind }: Unpacked): boolean => kind === 'quiet' || kind === 'signaling';

/** A NaN as the quiet NaN with its payload. */
export function quieted(format: FloatFormat, nan: Unpacked): bigint {
  return pack(format, nan.negative, format.maximumBiased, nan.significand | format.quietBit);
}

/** Raises IE; the answer to it is the default NaN. */
export function invalid(environment: FloatEnvironment, format: FloatFormat): bigint {
  environment.flags |= FloatFlag.IE;
  return defaultNan(format);
}

/** x87: a quiet NaN wins over a signaling one, then the larger significand, then the positive one (Intel SDM vol. 1, table 4-7). */
function larger(a: Unpacked, b: Unpacked): Unpacked {
  if (a.kind !== b.kind) return a.kind === 'quiet' ? a : b;
  if (a.significand !== b.significand) return a.significand > b.significand ? a : b;
  return a.negative ? b : a;
}

/**
 * The result of an operation that has a NaN or an unsupported value among its operands, with IE where that is due;
 * undefined if it has none.
 */
export function propagateNan(
  environment: FloatEnvironment,
  format: FloatFormat,
  ...operands: readonly Unpacked[]
): bigint | undefined {
  if (operands.some(({ kind }) => kind === 'unsupported')) return invalid(environment, format);
  let chosen: Unpacked | undefined;
  for (const value of operands) {
    if (!isNan(value)) continue;
    if (value.kind === 'signaling') environment.flags |= FloatFlag.IE;
    if (!chosen) chosen = value;
    else if (environment.nanRule === 'larger-significand') chosen = larger(chosen, value);
  }
  return chosen && quieted(format, chosen);
}
