import { compareValues, type Relation } from '../softfloat/compare.ts';
import type { Unpacked } from '../softfloat/format.ts';
import { Flag } from '../state/cpu-state.ts';
import type { SystemHelper } from '../system/context.ts';
import { integerOperand, memoryOperand } from './arithmetic.ts';
import { numeric } from './availability.ts';
import type { FpuUnit } from './unit.ts';
import { Status } from './words.ts';

const CONDITIONS: Readonly<Record<Relation, number>> = {
  greater: 0,
  less: Status.C0,
  equal: Status.C3,
  unordered: Status.C0 | Status.C2 | Status.C3,
};
const FLAGS: Readonly<Record<Relation, number>> = {
  greater: 0,
  less: Flag.CF,
  equal: Flag.ZF,
  unordered: Flag.CF | Flag.PF | Flag.ZF,
};
const ALL_FLAGS = Flag.CF | Flag.PF | Flag.ZF | Flag.AF | Flag.SF | Flag.OF;

interface Comparison {
  /** Quiet NaNs raise IE too. */
  readonly signalQuiet: boolean;
  readonly pops: 0 | 1 | 2;
  /** The result goes to RFLAGS, not to the condition codes. */
  readonly toFlags?: boolean;
}

/**
 * How ST(0) relates to the other operand (undefined: an empty register). An exception that isn't masked doesn't keep the
 * result back, but the operands stay on the stack then: `stopped`.
 */
function relate(unit: FpuUnit, other: Unpacked | undefined, signalQuiet: boolean): { relation: Relation; stopped: boolean } {
  if (unit.isEmpty(0) || !other) {
    unit.status &= ~Status.C1;
    return { relation: 'unordered', stopped: !unit.stackFault(false) };
  }
  const relation = compareValues(unit.environment, unit.value(0), other, signalQuiet);
  return { relation, stopped: !unit.takeExceptions() };
}

function comparison({ signalQuiet, pops, toFlags }: Comparison): SystemHelper {
  return numeric((unit) => {
    const { index, isRegister } = unit;
    const other = !isRegister ? memoryOperand(unit) : unit.isEmpty(index) ? undefined : unit.value(index);
    const { relation, stopped } = relate(unit, other, signalQuiet);
    const { state } = unit.context;
    if (toFlags) state.rflags = (state.rflags & ~ALL_FLAGS) | FLAGS[relation];
    else unit.setConditions(CONDITIONS[relation]);
    for (let count = 0; count < pops && !stopped; count++) unit.pop();
  }, toFlags);
}

const test = numeric((unit) => {
  const { relation } = relate(unit, integerOperand(0n), true);
  unit.setConditions(CONDITIONS[relation]);
});

const KINDS: Readonly<Record<Unpacked['kind'], number>> = {
  unsupported: 0,
  quiet: Status.C0,
  signaling: Status.C0,
  finite: Status.C2,
  infinity: Status.C2 | Status.C0,
  zero: Status.C3,
};

const examine = numeric((unit) => {
  const value = unit.value(0);
  const kind = value.denormal ? Status.C3 | Status.C2 : KINDS[value.kind];
  unit.setConditions(unit.isEmpty(0) ? Status.C3 | Status.C0 : kind);
  if (value.negative) unit.status |= Status.C1;
});

export const compareHelpers: Readonly<Record<string, SystemHelper>> = {
  x87_compare: comparison({ signalQuiet: true, pops: 0 }),
  x87_compare_pop: comparison({ signalQuiet: true, pops: 1 }),
  x87_compare_pop2: comparison({ signalQuiet: true, pops: 2 }),
  x87_compare_quiet: comparison({ signalQuiet: false, pops: 0 }),
  x87_compare_quiet_pop: comparison({ signalQuiet: false, pops: 1 }),
  x87_compare_quiet_pop2: comparison({ signalQuiet: false, pops: 2 }),
  x87_compare_flags: comparison({ signalQuiet: true, pops: 0, toFlags: true }),
  x87_compare_flags_pop: comparison({ signalQuiet: true, pops: 1, toFlags: true }),
  x87_compare_quiet_flags: comparison({ signalQuiet: false, pops: 0, toFlags: true }),
  x87_compare_quiet_flags_pop: comparison({ signalQuiet: false, pops: 1, toFlags: true }),
  x87_test: test,
  x87_examine: examine,
};
