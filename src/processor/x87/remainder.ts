import { noticeDenormals } from '../softfloat/arithmetic.ts';
import { bitLength } from '../softfloat/bit-length.ts';
import { EXTENDED80, infinity, type Unpacked, zero } from '../softfloat/format.ts';
import { invalid, propagateNan } from '../softfloat/nan.ts';
import { roundToFormat } from '../softfloat/rounding.ts';
import type { SystemHelper } from '../system/context.ts';
import { numeric } from './availability.ts';
import type { FpuUnit } from './unit.ts';
import { Status } from './words.ts';

const lead = ({ exponent, significand }: Unpacked): number => exponent + bitLength(significand);

interface Reduction {
  readonly bits: bigint;
  /** The quotient; `partial` where a further instruction has to go on, `none` where nothing was divided. */
  readonly quotient: bigint | 'partial' | 'none';
}

/** x less a multiple of y, both finite and not zero; `nearest`: the quotient is rounded, not truncated. */
function reduce(unit: FpuUnit, x: Unpacked, y: Unpacked, nearest: boolean): Reduction {
  const { environment } = unit;
  const distance = lead(x) - lead(y);
  // Beyond 63 bits an instruction takes off what leaves a multiple of 64 (Intel SDM vol. 2, FPREM: any number from 32 to 63).
  const partial = distance >= 64;
  const scale = partial ? distance - (32 + (distance & 31)) : 0;
  const divisorExponent = y.exponent + scale;
  const exponent = Math.min(x.exponent, divisorExponent);
  const dividend = x.significand << BigInt(Math.min(x.exponent - exponent, 1 << 16));
  const divisor = y.significand << BigInt(Math.min(divisorExponent - exponent, 1 << 16));
  let quotient = dividend / divisor;
  let rest = dividend - quotient * divisor;
  let { negative } = x;
  if (nearest && !partial && (rest * 2n > divisor || (rest * 2n === divisor && (quotient & 1n) === 1n))) {
    quotient++;
    rest = divisor - rest;
    negative = !negative;
  }
  const bits = rest === 0n ? zero(EXTENDED80, x.negative) : roundToFormat(environment, EXTENDED80, negative, exponent, rest);
  return { bits, quotient: partial ? 'partial' : quotient };
}

function remainderOf(unit: FpuUnit, nearest: boolean): Reduction {
  const { environment } = unit;
  const x = unit.value(0);
  const y = unit.value(1);
  const none = (bits: bigint): Reduction => ({ bits, quotient: 'none' });
  const all = (bits: bigint): Reduction => ({ bits, quotient: 0n });
  const nan = propagateNan(environment, EXTENDED80, x, y);
  if (nan !== undefined) return none(nan);
  if (x.kind === 'infinity' || y.kind === 'zero') return none(invalid(environment, EXTENDED80));
  noticeDenormals(environment, x, y);
  if (x.kind === 'zero') return all(zero(EXTENDED80, x.negative));
  // Far below the divisor, x is its own remainder.
  if (y.kind === 'infinity' || lead(x) < lead(y) - 1)
    return all(roundToFormat(environment, EXTENDED80, x.negative, x.exponent, x.significand));
  return reduce(unit, x, y, nearest);
}

const remainder = (nearest: boolean): SystemHelper =>
  numeric((unit) => {
    unit.status &= ~Status.C2;
    if (unit.isEmpty(0) || unit.isEmpty(1)) {
      if (unit.stackFault(false)) unit.writeIndefinite(0);
      return;
    }
    const { bits, quotient } = remainderOf(unit, nearest);
    if (!unit.takeExceptions()) return;
    unit.write(0, bits);
    if (quotient === 'none') return;
    if (quotient === 'partial') {
      unit.setConditions(Status.C2);
      return;
    }
    unit.setConditions((quotient & 4n ? Status.C0 : 0) | (quotient & 2n ? Status.C3 : 0));
    if (quotient & 1n) unit.status |= Status.C1;
  });

/** ST(0) × 2^trunc(ST(1)). */
function scaled(unit: FpuUnit): bigint {
  const { environment } = unit;
  const x = unit.value(0);
  const by = unit.value(1);
  const nan = propagateNan(environment, EXTENDED80, x, by);
  if (nan !== undefined) return nan;
  if (by.kind === 'infinity') {
    if (x.kind === (by.negative ? 'infinity' : 'zero')) return invalid(environment, EXTENDED80);
    noticeDenormals(environment, x);
    return by.negative ? zero(EXTENDED80, x.negative) : infinity(EXTENDED80, x.negative);
  }
  noticeDenormals(environment, x, by);
  if (x.kind === 'infinity') return infinity(EXTENDED80, x.negative);
  if (x.kind === 'zero') return zero(EXTENDED80, x.negative);
  // Beyond this, every value overflows or underflows.
  const most = 0x1_0000n;
  const whole = by.exponent >= 0 ? by.significand << BigInt(Math.min(by.exponent, 20)) : by.significand >> BigInt(-by.exponent);
  const count = Number(whole > most ? most : whole);
  return roundToFormat(environment, EXTENDED80, x.negative, x.exponent + (by.negative ? -count : count), x.significand);
}

const scale = numeric((unit) => {
  if (unit.isEmpty(0) || unit.isEmpty(1)) {
    if (unit.stackFault(false)) unit.writeIndefinite(0);
    return;
  }
  const result = scaled(unit);
  if (unit.takeExceptions()) unit.write(0, result);
});

export const remainderHelpers: Readonly<Record<string, SystemHelper>> = {
  x87_remainder: remainder(false),
  x87_remainder_nearest: remainder(true),
  x87_scale: scale,
};
