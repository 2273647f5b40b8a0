import { noticeDenormals } from '../softfloat/arithmetic.ts';
import { bitLength } from '../softfloat/bit-length.ts';
import { fromInt } from '../softfloat/convert.ts';
import { FloatFlag } from '../softfloat/environment.ts';
import { EXTENDED80, infinity, pack, zero } from '../softfloat/format.ts';
import { propagateNan } from '../softfloat/nan.ts';
import { numeric } from './availability.ts';
import type { FpuUnit } from './unit.ts';

/** Exponent and significand of ST(0), as values. */
function split(unit: FpuUnit): readonly [exponent: bigint, significand: bigint] {
  const { environment } = unit;
  const value = unit.value(0);
  const { negative } = value;
  const nan = propagateNan(environment, EXTENDED80, value);
  if (nan !== undefined) return [nan, nan];
  if (value.kind === 'infinity') return [infinity(EXTENDED80, false), infinity(EXTENDED80, negative)];
  if (value.kind === 'zero') {
    environment.flags |= FloatFlag.ZE;
    return [infinity(EXTENDED80, true), zero(EXTENDED80, negative)];
  }
  noticeDenormals(environment, value);
  const length = bitLength(value.significand);
  const significand = pack(EXTENDED80, negative, EXTENDED80.bias, value.significand << BigInt(64 - length));
  return [fromInt(environment, EXTENDED80, BigInt(value.exponent + length - 1)), significand];
}

/** FXTRACT. */
export const extract = numeric((unit) => {
  const underflows = unit.isEmpty(0);
  if (underflows || !unit.isEmpty(-1)) {
    if (!unit.stackFault(!underflows)) return;
    unit.writeIndefinite(0);
    unit.rotate(-1);
    unit.writeIndefinite(0);
    return;
  }
  const [exponent, significand] = split(unit);
  if (!unit.takeExceptions()) return;
  unit.write(0, exponent);
  unit.push(significand);
});
