import type { Semantics, Value } from '../../semantics.ts';
import type { QuickResult, VectorValue } from '../../vector-semantics.ts';
import type { LaneChecks } from './lane-checks.ts';
import { lanesOf } from './rows.ts';

/**
 * Proofs that a quick result is exact, for where inexactness was not noted yet. Each gives bits other than 0 in the lanes in which the
 * result may be inexact. Operands are not denormal, and results are finite and, but for sums, not tiny.
 */
export type Inexact = (c: LaneChecks, a: VectorValue, b: VectorValue, result: VectorValue) => VectorValue;

/** A value that is as good as the exact one if `fine` and rounding is plain, or if `fine` and it is exact (1), which is looked at last. */
export function roundedQuickly(s: Semantics, value: VectorValue, fine: Value, isExact: () => Value): QuickResult {
  const v = s.vector;
  const kept = s.keep(fine);
  return {
    value,
    holds: s.and(v.roundsPlainly(), kept),
    holdsExactly: () => s.and(s.and(v.roundsToNearest(), kept), isExact()),
  };
}

/** What a sum or difference lacks (Knuth's TwoSum), which is a NaN where a step of this overflows. */
function sumError(operation: 'add' | 'sub'): Inexact {
  return (c, a, b, sum) => {
    const lanes = (name: 'add' | 'sub', x: VectorValue, y: VectorValue) => c.v.lanes(`${c.full}.${name}`, x, y);
    const fromB = c.v.keep(lanes('sub', sum, a));
    const rest = operation === 'add' ? lanes('sub', b, fromB) : lanes('add', b, fromB);
    return lanes(operation, lanes('sub', a, lanes('sub', sum, fromB)), rest);
  };
}
export const exactSum = sumError('add');
export const exactDifference = sumError('sub');

/** Half of the significand's bits, so that a product of numbers without them is exact: 27 of 53, 12 of 24. */
const LOWER_HALF = { f32: 0xfffn, f64: 0x7ff_ffffn } as const;

export const exactProduct: Inexact = ({ v, format }, a, b) => {
  const mask = lanesOf(v, format === 'f32' ? 32 : 64, LOWER_HALF[format]);
  return v.lanes('v128.and', v.lanes('v128.or', a, b), mask);
};

/** An exact product of the quotient and the divisor is the dividend. */
export const exactQuotient: Inexact = (c, a, b, quotient) =>
  c.any(exactProduct(c, quotient, b, a), c.compare('ne', c.v.lanes(`${c.full}.mul`, quotient, b), a));

export const exactRoot: Inexact = (c, a, _, root) => exactQuotient(c, a, root, root);
