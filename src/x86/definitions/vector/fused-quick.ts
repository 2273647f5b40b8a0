import type { Semantics, Value } from '../../semantics.ts';
import type { VectorSemantics, VectorValue } from '../../vector-semantics.ts';
import { LaneChecks, type Lanes } from './lane-checks.ts';
import { byLanes, lanesOf } from './rows.ts';

/**
 * Sums of a product and an addend with one rounding, made of operations that round to nearest: from the errors of the single steps,
 * which doubles hold exactly, the rounding of the whole is found ("rounding to odd", Boldo and Melquiond, 2008).
 */

interface Quick {
  readonly value: VectorValue;
  /** Where rounding is plain, the value is as good as the exact one. */
  readonly fine: Value;
  /** Whether the value is exact besides: 0 where that isn't proved. */
  readonly isExact: () => Value;
}

type DoubleOperation = 'add' | 'sub' | 'mul';
const double = (v: VectorSemantics, operation: DoubleOperation, a: VectorValue, b: VectorValue): VectorValue =>
  v.keep(v.lanes(`f64x2.${operation}`, a, b));

/** The rounded sum and what it lacks, exactly (Knuth's TwoSum). */
function twoSum(v: VectorSemantics, a: VectorValue, b: VectorValue): { sum: VectorValue; error: VectorValue } {
  const sum = double(v, 'add', a, b);
  const fromB = double(v, 'sub', sum, a);
  const fromA = v.lanes('f64x2.sub', sum, fromB);
  const error = double(v, 'add', v.lanes('f64x2.sub', a, fromA), v.lanes('f64x2.sub', b, fromB));
  return { sum, error };
}

/** The upper 26 bits of doubles (Veltkamp's split) and the rest. */
function split(v: VectorSemantics, a: VectorValue): { high: VectorValue; low: VectorValue } {
  // 2^27 + 1.
  const scaled = double(v, 'mul', a, lanesOf(v, 64, 0x41a0_0000_0200_0000n));
  const high = double(v, 'sub', scaled, v.lanes('f64x2.sub', scaled, a));
  return { high, low: double(v, 'sub', a, high) };
}

/** The rounded product and what it lacks, exactly (Dekker's TwoProduct). */
function twoProduct(v: VectorSemantics, a: VectorValue, b: VectorValue): { product: VectorValue; error: VectorValue } {
  const product = double(v, 'mul', a, b);
  const [x, y] = [split(v, a), split(v, b)];
  const times = (left: VectorValue, right: VectorValue) => v.lanes('f64x2.mul', left, right);
  const sub = (left: VectorValue, right: VectorValue) => v.lanes('f64x2.sub', left, right);
  const rest = sub(sub(sub(product, times(x.high, y.high)), times(x.low, y.high)), times(x.high, y.low));
  return { product, error: v.keep(sub(times(x.low, y.low), rest)) };
}

/** a + b rounded to odd: where the sum isn't exact, it is the neighbour whose last bit is set. */
function oddSum(v: VectorSemantics, a: VectorValue, b: VectorValue): VectorValue {
  const { sum, error } = twoSum(v, a, b);
  const zero = v.bytes([]);
  const isInexact = v.lanes('f64x2.ne', error, zero);
  const one = lanesOf(v, 64, 1n);
  const isEven = v.lanes('i64x2.eq', v.lanes('v128.and', sum, one), zero);
  // As an integer a double grows with its magnitude.
  const grows = v.lanes('i64x2.eq', v.lanes('v128.and', v.lanes('v128.xor', sum, error), lanesOf(v, 64, 1n << 63n)), zero);
  const step = v.lanes('v128.bitselect', one, v.lanes('i64x2.neg', one), grows);
  return v.keep(v.lanes('i64x2.add', sum, v.lanes('v128.and', step, v.lanes('v128.and', isInexact, isEven))));
}

/** A double's bits of a power of two. */
const power = (exponent: number): bigint => BigInt(exponent + 1023) << 52n;

/** a × b + c in doubles. */
export function quickDoubles(s: Semantics, lanes: Lanes, a: VectorValue, b: VectorValue, c: VectorValue): Quick {
  const v = s.vector;
  const checks = new LaneChecks(v, 'f64');
  const { product, error } = twoProduct(v, a, b);
  const addend = twoSum(v, c, error);
  const whole = twoSum(v, product, addend.sum);
  const result = double(v, 'add', whole.sum, oddSum(v, addend.error, whole.error));
  // The sign of a zero is that of the plain sum.
  const isZero = checks.not(checks.isNotZero(result));
  const value = v.keep(v.lanes('v128.bitselect', v.lanes('f64x2.add', product, c), result, isZero));
  // Within these bounds no step is tiny or overflows.
  const outside = (x: VectorValue, low: number, high: number) => {
    const magnitude = v.keep(checks.abs(x));
    const isSmall = checks.both(checks.compare('lt', magnitude, checks.constant(power(low))), checks.isNotZero(x));
    return checks.any(isSmall, checks.not(checks.compare('lt', magnitude, checks.constant(power(high)))));
  };
  const doubt = checks.any(outside(a, -400, 400), outside(b, -400, 400), outside(c, -900, 900));
  const isExact = () => checks.none(s, lanes, checks.any(checks.isNotZero(addend.error), checks.isNotZero(whole.error)));
  return { value, fine: checks.none(s, lanes, doubt), isExact };
}

/** Two singles as doubles: their products are exact, and a sum rounded to odd is rounded to single as if it were exact. */
function pairOfSingles(
  v: VectorSemantics,
  a: VectorValue,
  b: VectorValue,
  c: VectorValue,
): { sum: VectorValue; single: VectorValue } {
  const wide = (x: VectorValue) => v.lanes('f64x2.promote_low_f32x4', x);
  const sum = oddSum(v, double(v, 'mul', wide(a), wide(b)), v.keep(wide(c)));
  return { sum, single: v.keep(v.lanes('f32x4.demote_f64x2_zero', sum)) };
}

/** a × b + c in singles. */
export function quickSingles(s: Semantics, lanes: Lanes, a: VectorValue, b: VectorValue, c: VectorValue): Quick {
  const v = s.vector;
  const checks = new LaneChecks(v, 'f32');
  const wide = new LaneChecks(v, 'f64');
  const low = pairOfSingles(v, a, b, c);
  const upper = (x: VectorValue) => v.shuffle(x, x, byLanes(8, [1, 1]));
  const high = lanes === 'f32s' ? low : pairOfSingles(v, upper(a), upper(b), upper(c));
  const value = lanes === 'f32s' ? low.single : v.keep(v.shuffle(low.single, high.single, byLanes(8, [0, 2])));
  const doubt = checks.any(checks.isDenormal(a), checks.isDenormal(b), checks.isDenormal(c), checks.isNotFinite(value));
  // A result that isn't exactly 0 must be clearly normal.
  const isTiny = (sum: VectorValue) =>
    wide.both(wide.compare('lt', wide.abs(sum), wide.constant(power(-125))), wide.isNotZero(sum));
  const tiny =
    lanes === 'f32s' ? wide.none(s, 'f64s', isTiny(low.sum)) : wide.none(s, 'f64x2', wide.any(isTiny(low.sum), isTiny(high.sum)));
  // A sum that isn't exact is odd, and no single.
  const rounded = ({ sum, single }: ReturnType<typeof pairOfSingles>) =>
    wide.compare('ne', v.lanes('f64x2.promote_low_f32x4', single), sum);
  const isExact = () =>
    lanes === 'f32s' ? wide.none(s, 'f64s', rounded(low)) : wide.none(s, 'f64x2', wide.any(rounded(low), rounded(high)));
  return { value, fine: s.and(checks.none(s, lanes, doubt), tiny), isExact };
}
