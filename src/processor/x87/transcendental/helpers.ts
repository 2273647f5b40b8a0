import { noticeDenormals } from '../../softfloat/arithmetic.ts';
import { EXTENDED80, pack, type Unpacked, zero } from '../../softfloat/format.ts';
import { invalid, propagateNan } from '../../softfloat/nan.ts';
import type { SystemHelper } from '../../system/context.ts';
import { unary } from '../arithmetic.ts';
import { numeric } from '../availability.ts';
import type { FpuUnit } from '../unit.ts';
import { Status } from '../words.ts';
import { angle } from './arctangent.ts';
import { powerOf2Less1 } from './exponential.ts';
import { logarithmOf1PlusTimes, logarithmTimes } from './logarithm.ts';
import { type Real, roundInexact } from './real.ts';
import { cosine, isInRange, sine, tangent } from './trigonometric.ts';

const ONE = pack(EXTENDED80, false, EXTENDED80.bias, EXTENDED80.integerBit);

/** An instruction that makes one value of ST(0) and ST(1): it pops, and leaves the result at the top. */
const binary = (operation: (unit: FpuUnit) => bigint): SystemHelper =>
  numeric((unit) => {
    if (unit.isEmpty(0) || unit.isEmpty(1)) {
      if (!unit.stackFault(false)) return;
      unit.writeIndefinite(1);
    } else {
      const result = operation(unit);
      if (!unit.takeExceptions()) return;
      unit.write(1, result);
    }
    unit.pop();
  });

/** A function of an angle: of zero it is `atZero`, with the angle's sign if it is 0. */
function ofAngle(unit: FpuUnit, x: Unpacked, atZero: 0 | 1, compute: (x: Unpacked) => Real): bigint {
  const { environment } = unit;
  const nan = propagateNan(environment, EXTENDED80, x);
  if (nan !== undefined) return nan;
  if (x.kind === 'infinity') return invalid(environment, EXTENDED80);
  if (x.kind === 'zero') return atZero === 1 ? ONE : zero(EXTENDED80, x.negative);
  noticeDenormals(environment, x);
  return roundInexact(environment, compute(x));
}

/**
 * FSIN, FCOS, FSINCOS and FPTAN: the results replace ST(0) and are pushed behind it. C2 says that the angle is too large and
 * nothing was done.
 */
const trigonometric = (
  first: (unit: FpuUnit, x: Unpacked) => bigint,
  second?: (unit: FpuUnit, x: Unpacked) => bigint,
): SystemHelper =>
  numeric((unit) => {
    unit.status &= ~Status.C2;
    const underflows = unit.isEmpty(0);
    if (underflows || (second && !unit.isEmpty(-1))) {
      if (!unit.stackFault(!underflows)) return;
      unit.writeIndefinite(0);
      if (!second) return;
      unit.rotate(-1);
      unit.writeIndefinite(0);
      return;
    }
    const x = unit.value(0);
    if (x.kind === 'finite' && !isInRange(x)) {
      unit.status |= Status.C2;
      return;
    }
    const pushed = second?.(unit, x);
    const result = first(unit, x);
    if (!unit.takeExceptions()) return;
    unit.write(0, result);
    if (pushed !== undefined) unit.push(pushed);
  });

const sineOf = (unit: FpuUnit, x: Unpacked): bigint => ofAngle(unit, x, 0, sine);
const cosineOf = (unit: FpuUnit, x: Unpacked): bigint => ofAngle(unit, x, 1, cosine);
const tangentOf = (unit: FpuUnit, x: Unpacked): bigint => ofAngle(unit, x, 0, tangent);
/** What FPTAN pushes: 1, or the NaN that is its result. */
const oneOrNan = (unit: FpuUnit, x: Unpacked): bigint => (x.kind === 'finite' || x.kind === 'zero' ? ONE : tangentOf(unit, x));

export const transcendentalHelpers: Readonly<Record<string, SystemHelper>> = {
  x87_exponential: unary(powerOf2Less1),
  x87_logarithm: binary(logarithmTimes),
  x87_logarithm_near_1: binary(logarithmOf1PlusTimes),
  x87_arctangent: binary(angle),
  x87_sine: trigonometric(sineOf),
  x87_cosine: trigonometric(cosineOf),
  x87_sine_cosine: trigonometric(sineOf, cosineOf),
  x87_tangent: trigonometric(tangentOf, oneOrNan),
};
