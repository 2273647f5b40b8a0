import { noticeDenormals } from './arithmetic.ts';
import { bitLength } from './bit-length.ts';
import { type FloatEnvironment, FloatFlag, operand } from './environment.ts';
import { type FloatFormat, type Unpacked, zero } from './format.ts';
import { isNan } from './nan.ts';

export type Relation = 'less' | 'equal' | 'greater' | 'unordered';

/** −1, 0 or 1 as the magnitude of a is below, at or above that of b. */
function compareMagnitudes(a: Unpacked, b: Unpacked): number {
  if (a.kind === 'infinity' || b.kind === 'infinity') return Number(a.kind === 'infinity') - Number(b.kind === 'infinity');
  if (a.kind === 'zero' || b.kind === 'zero') return Number(b.kind === 'zero') - Number(a.kind === 'zero');
  const distance = a.exponent + bitLength(a.significand) - b.exponent - bitLength(b.significand);
  if (distance !== 0) return Math.sign(distance);
  const shift = a.exponent - b.exponent;
  const left = shift > 0 ? a.significand << BigInt(shift) : a.significand;
  const right = shift < 0 ? b.significand << BigInt(-shift) : b.significand;
  return left < right ? -1 : left > right ? 1 : 0;
}

function relate(a: Unpacked, b: Unpacked): Relation {
  let order: number;
  if (a.kind === 'zero' && b.kind === 'zero') order = 0;
  else if (a.negative !== b.negative) order = a.negative ? -1 : 1;
  else order = a.negative ? -compareMagnitudes(a, b) : compareMagnitudes(a, b);
  return order < 0 ? 'less' : order > 0 ? 'greater' : 'equal';
}

/** How a relates to b; `signalQuiet`: quiet NaNs raise IE too, as COMISS and FCOM have it. */
export function compare(
  environment: FloatEnvironment,
  format: FloatFormat,
  a: bigint,
  b: bigint,
  signalQuiet: boolean,
): Relation {
  return compareValues(environment, operand(environment, format, a), operand(environment, format, b), signalQuiet);
}

/** The same of values taken apart. */
export function compareValues(environment: FloatEnvironment, x: Unpacked, y: Unpacked, signalQuiet: boolean): Relation {
  const raises = ({ kind }: Unpacked): boolean =>
    kind === 'signaling' || kind === 'unsupported' || (signalQuiet && kind === 'quiet');
  if (raises(x) || raises(y)) environment.flags |= FloatFlag.IE;
  if (isNan(x) || isNan(y) || x.kind === 'unsupported' || y.kind === 'unsupported') return 'unordered';
  noticeDenormals(environment, x, y);
  return relate(x, y);
}

/** MINSS and MAXSS: b if one is a NaN or both are zeros (Intel SDM vol. 2). */
function select(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint, wanted: Relation): bigint {
  if (compare(environment, format, a, b, true) !== wanted) return flushed(environment, format, b);
  return flushed(environment, format, a);
}

/** An operand as it is taken, a denormal as zero if the environment says so. */
function flushed(environment: FloatEnvironment, format: FloatFormat, bits: bigint): bigint {
  const value = operand(environment, format, bits);
  return value.kind === 'zero' ? zero(format, value.negative) : bits;
}

export function min(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint): bigint {
  return select(environment, format, a, b, 'less');
}

export function max(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint): bigint {
  return select(environment, format, a, b, 'greater');
}
