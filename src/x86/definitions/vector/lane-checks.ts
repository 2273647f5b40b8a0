import type { Semantics, Value } from '../../semantics.ts';
import type { LaneFormat, VectorSemantics, VectorValue } from '../../vector-semantics.ts';
import { lanesOf } from './rows.ts';

/** Lanes that an instruction works on: all of a format, or the lowest. */
export type Lanes = 'f32x4' | 'f64x2' | 'f32s' | 'f64s';

export const formatOf = (lanes: Lanes): LaneFormat => (lanes.startsWith('f32') ? 'f32' : 'f64');
export const isScalar = (lanes: Lanes): boolean => lanes.endsWith('s');

const MINIMUM = { f32: 0x0080_0000n, f64: 0x0010_0000_0000_0000n } as const;
/** Twice the smallest normal number. */
const CLEARLY_NORMAL = { f32: 0x0100_0000n, f64: 0x0020_0000_0000_0000n } as const;
const INFINITY = { f32: 0x7f80_0000n, f64: 0x7ff0_0000_0000_0000n } as const;

/** The checks of floating-point lanes. Each gives all bits of the lanes for which it is true. */
export class LaneChecks {
  readonly full: 'f32x4' | 'f64x2';
  constructor(
    readonly v: VectorSemantics,
    readonly format: LaneFormat,
  ) {
    this.full = format === 'f32' ? 'f32x4' : 'f64x2';
  }

  compare(relation: 'eq' | 'ne' | 'lt' | 'gt' | 'le' | 'ge', a: VectorValue, b: VectorValue): VectorValue {
    return this.v.lanes(`${this.full}.${relation}`, a, b);
  }
  constant(bits: bigint): VectorValue {
    return lanesOf(this.v, this.format === 'f32' ? 32 : 64, bits);
  }
  abs(a: VectorValue): VectorValue {
    return this.v.lanes(`${this.full}.abs`, a);
  }
  isNotZero(a: VectorValue): VectorValue {
    return this.compare('ne', a, this.constant(0n));
  }
  isDenormal(a: VectorValue): VectorValue {
    return this.both(this.compare('lt', this.abs(a), this.constant(MINIMUM[this.format])), this.isNotZero(a));
  }
  isNan(a: VectorValue): VectorValue {
    return this.compare('ne', a, a);
  }
  /** An infinity or a NaN. */
  isNotFinite(a: VectorValue): VectorValue {
    return this.not(this.compare('lt', this.abs(a), this.constant(INFINITY[this.format])));
  }
  /** So small that the result before rounding may have been below the normal numbers. */
  isTiny(a: VectorValue): VectorValue {
    return this.compare('lt', this.abs(a), this.constant(CLEARLY_NORMAL[this.format]));
  }
  not(a: VectorValue): VectorValue {
    return this.v.lanes('v128.not', a);
  }
  both(a: VectorValue, b: VectorValue): VectorValue {
    return this.v.lanes('v128.and', a, b);
  }
  any(...masks: VectorValue[]): VectorValue {
    return masks.reduce((all, mask) => this.v.lanes('v128.or', all, mask));
  }
  /** 1 when a check is true for none of the lanes; for the lowest alone where only that counts. */
  none(s: Semantics, lanes: Lanes, mask: VectorValue): Value {
    if (!isScalar(lanes)) return s.isZero(this.v.anyTrue(mask));
    return s.isZero(this.v.extract(this.format === 'f32' ? 32 : 64, mask, 0));
  }
}
