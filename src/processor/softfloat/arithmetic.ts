import { bitLength } from './bit-length.ts';
import { type FloatEnvironment, FloatFlag, operand, Rounding } from './environment.ts';
import { type FloatFormat, infinity, type Unpacked, zero } from './format.ts';
import { invalid, propagateNan } from './nan.ts';
import { roundToFormat } from './rounding.ts';

/** A signed magnitude × 2^exponent. */
interface Exact {
  readonly negative: boolean;
  readonly exponent: number;
  readonly significand: bigint;
}

/** Raises DE for denormal operands: after it is known that no NaN and no invalid operation decides the result. */
export function noticeDenormals(environment: FloatEnvironment, ...operands: readonly Unpacked[]): void {
  if (operands.some(({ denormal }) => denormal)) environment.flags |= FloatFlag.DE;
}

/** The difference in magnitude from which on the smaller summand only says on which side of the larger the sum is. */
const FAR = 300;

/** a + b, both not zero, rounded. */
function sum(environment: FloatEnvironment, format: FloatFormat, a: Exact, b: Exact): bigint {
  const top = (value: Exact): number => value.exponent + bitLength(value.significand);
  const distance = top(a) - top(b);
  let [high, low] = distance >= 0 ? [a, b] : [b, a];
  if (Math.abs(distance) > FAR) low = { negative: low.negative, exponent: top(high) - FAR, significand: 1n };
  const exponent = Math.min(high.exponent, low.exponent);
  const aligned = ({ negative, exponent: own, significand }: Exact): bigint => {
    const magnitude = significand << BigInt(own - exponent);
    return negative ? -magnitude : magnitude;
  };
  const total = aligned(high) + aligned(low);
  if (total === 0n) return zero(format, environment.rounding === Rounding.DOWN);
  return roundToFormat(environment, format, total < 0n, exponent, total < 0n ? -total : total);
}

/** x + y, or x − y with `negate`, of values taken apart: they may come from other formats. */
export function addValues(environment: FloatEnvironment, format: FloatFormat, x: Unpacked, y: Unpacked, negate: boolean): bigint {
  environment.roundedUp = false;
  const nan = propagateNan(environment, format, x, y);
  if (nan !== undefined) return nan;
  const b = negate ? { ...y, negative: !y.negative } : y;
  if (x.kind === 'infinity' && b.kind === 'infinity' && x.negative !== b.negative) return invalid(environment, format);
  noticeDenormals(environment, x, b);
  if (x.kind === 'infinity') return infinity(format, x.negative);
  if (b.kind === 'infinity') return infinity(format, b.negative);
  if (x.kind === 'zero' && b.kind === 'zero')
    return zero(format, x.negative === b.negative ? x.negative : environment.rounding === Rounding.DOWN);
  if (x.kind === 'zero') return roundToFormat(environment, format, b.negative, b.exponent, b.significand);
  if (b.kind === 'zero') return roundToFormat(environment, format, x.negative, x.exponent, x.significand);
  return sum(environment, format, x, b);
}

/** a + b. */
export function add(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint): bigint {
  return addValues(environment, format, operand(environment, format, a), operand(environment, format, b), false);
}

/** a − b. */
export function sub(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint): bigint {
  return addValues(environment, format, operand(environment, format, a), operand(environment, format, b), true);
}

/** a × b. */
export function mul(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint): bigint {
  return mulValues(environment, format, operand(environment, format, a), operand(environment, format, b));
}

export function mulValues(environment: FloatEnvironment, format: FloatFormat, x: Unpacked, y: Unpacked): bigint {
  environment.roundedUp = false;
  const nan = propagateNan(environment, format, x, y);
  if (nan !== undefined) return nan;
  const negative = x.negative !== y.negative;
  const isInfinite = x.kind === 'infinity' || y.kind === 'infinity';
  const isZero = x.kind === 'zero' || y.kind === 'zero';
  if (isInfinite && isZero) return invalid(environment, format);
  noticeDenormals(environment, x, y);
  if (isInfinite) return infinity(format, negative);
  if (isZero) return zero(format, negative);
  return roundToFormat(environment, format, negative, x.exponent + y.exponent, x.significand * y.significand);
}

/** a ÷ b. */
export function div(environment: FloatEnvironment, format: FloatFormat, a: bigint, b: bigint): bigint {
  return divValues(environment, format, operand(environment, format, a), operand(environment, format, b));
}

export function divValues(environment: FloatEnvironment, format: FloatFormat, x: Unpacked, y: Unpacked): bigint {
  environment.roundedUp = false;
  const nan = propagateNan(environment, format, x, y);
  if (nan !== undefined) return nan;
  const negative = x.negative !== y.negative;
  if (x.kind === y.kind && x.kind !== 'finite') return invalid(environment, format);
  // Division by zero raises ZE alone, even of a denormal.
  if (y.kind === 'zero' && x.kind === 'finite') {
    environment.flags |= FloatFlag.ZE;
    return infinity(format, negative);
  }
  noticeDenormals(environment, x, y);
  if (x.kind === 'infinity') return infinity(format, negative);
  if (x.kind === 'zero' || y.kind === 'infinity') return zero(format, negative);
  const shift = Math.max(0, format.precision + 2 + bitLength(y.significand) - bitLength(x.significand));
  const dividend = x.significand << BigInt(shift);
  const quotient = dividend / y.significand;
  const sticky = quotient * y.significand !== dividend;
  return roundToFormat(environment, format, negative, x.exponent - y.exponent - shift, quotient, sticky);
}

/** The integer square root, rounded down, of a number below 2^1000. */
function integerRoot(value: bigint): bigint {
  let root = BigInt(Math.floor(Math.sqrt(Number(value)))) + 1n;
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next === root || next === root + 1n) break;
    root = next;
  }
  while (root * root > value) root--;
  while ((root + 1n) * (root + 1n) <= value) root++;
  return root;
}

/** √a. */
export function sqrt(environment: FloatEnvironment, format: FloatFormat, a: bigint): bigint {
  return sqrtValue(environment, format, operand(environment, format, a));
}

export function sqrtValue(environment: FloatEnvironment, format: FloatFormat, x: Unpacked): bigint {
  environment.roundedUp = false;
  const nan = propagateNan(environment, format, x);
  if (nan !== undefined) return nan;
  if (x.kind === 'zero') return zero(format, x.negative);
  if (x.negative) return invalid(environment, format);
  noticeDenormals(environment, x);
  if (x.kind === 'infinity') return infinity(format, false);
  let shift = Math.max(0, 2 * (format.precision + 2) - bitLength(x.significand));
  if ((x.exponent - shift) % 2 !== 0) shift++;
  const radicand = x.significand << BigInt(shift);
  const root = integerRoot(radicand);
  return roundToFormat(environment, format, false, (x.exponent - shift) / 2, root, root * root !== radicand);
}

/**
 * ±(a × b) ± c, rounded once. NaN operands are preferred in the order a, b, c: who calls it puts them into the order of the
 * instruction's operands (Intel SDM vol. 1, 14.5.3).
 */
export function fma(
  environment: FloatEnvironment,
  format: FloatFormat,
  a: bigint,
  b: bigint,
  c: bigint,
  negateProduct = false,
  negateAddend = false,
): bigint {
  const x = operand(environment, format, a);
  const y = operand(environment, format, b);
  const addend = operand(environment, format, c);
  environment.roundedUp = false;
  const nan = propagateNan(environment, format, x, y, addend);
  if (nan !== undefined) return nan;
  const z = negateAddend ? { ...addend, negative: !addend.negative } : addend;
  const negative = (x.negative !== y.negative) !== negateProduct;
  const isInfinite = x.kind === 'infinity' || y.kind === 'infinity';
  const isZero = x.kind === 'zero' || y.kind === 'zero';
  if (isInfinite && isZero) return invalid(environment, format);
  if (isInfinite && z.kind === 'infinity' && z.negative !== negative) return invalid(environment, format);
  noticeDenormals(environment, x, y, z);
  if (isInfinite) return infinity(format, negative);
  if (z.kind === 'infinity') return infinity(format, z.negative);
  if (isZero) {
    if (z.kind !== 'zero') return roundToFormat(environment, format, z.negative, z.exponent, z.significand);
    return zero(format, z.negative === negative ? negative : environment.rounding === Rounding.DOWN);
  }
  const product = { negative, exponent: x.exponent + y.exponent, significand: x.significand * y.significand };
  if (z.kind === 'zero') return roundToFormat(environment, format, negative, product.exponent, product.significand);
  return sum(environment, format, product, z);
}
