import { convertValue, fromInt, toIntValue } from '../softfloat/convert.ts';
import { FloatFlag } from '../softfloat/environment.ts';
import { BINARY32, BINARY64, defaultNan, EXTENDED80, type FloatFormat, unpack } from '../softfloat/format.ts';
import { Flag } from '../state/cpu-state.ts';
import type { SystemHelper } from '../system/context.ts';
import { numeric } from './availability.ts';
import { constantBits } from './constants.ts';
import { fromDecimal, INDEFINITE_DECIMAL, toDecimal } from './decimal.ts';
import type { FpuUnit } from './unit.ts';
import { Status } from './words.ts';

/** Exceptions after which nothing is stored in memory: those that leave no result there. */
const NO_STORE = FloatFlag.IE | FloatFlag.OE | FloatFlag.UE;

/** Format of FLD's and FST's memory operand with the opcodes D9 and DD. */
const formatOf = (unit: FpuUnit): FloatFormat => (unit.instruction.opcode === 0xd9 ? BINARY32 : BINARY64);

/** Pushes a value that was converted. A denormal is pushed even if DE isn't masked. */
function pushConverted(unit: FpuUnit, bits: bigint): void {
  const { environment } = unit;
  const stopped = (environment.flags & ~environment.masks & FloatFlag.IE) !== 0;
  if (!unit.isEmpty(-1)) unit.push(bits);
  else {
    unit.takeExceptions();
    if (!stopped) unit.push(bits);
  }
}

const load = numeric((unit) => {
  const { index, instruction } = unit;
  if (unit.isRegister) {
    if (!unit.isEmpty(index)) unit.push((BigInt(unit.signExponent(index)) << 64n) | unit.significand(index));
    else if (unit.stackFault(false)) {
      unit.rotate(-1);
      unit.writeIndefinite(0);
    }
    return;
  }
  if (instruction.opcode === 0xdb) {
    unit.push(unit.readExtended());
    return;
  }
  const format = formatOf(unit);
  const value = unpack(format, unit.read(format === BINARY32 ? 4 : 8));
  const bits = convertValue(unit.environment, format, EXTENDED80, value, false);
  if (value.denormal) unit.environment.flags |= FloatFlag.DE;
  pushConverted(unit, bits);
});

const SIZES = { 16: 2, 32: 4, 64: 8 } as const;

/** Bits of the integer in memory: DF with an even digit below 4 or digit 1 has 16, DF with 5 and 7 and DD 64, DB 32. */
function integerBits({ instruction: { opcode }, digit }: FpuUnit): 16 | 32 | 64 {
  if (opcode === 0xdb) return 32;
  return opcode === 0xdd || digit >= 4 ? 64 : 16;
}

const loadInteger = numeric((unit) => {
  const bits = integerBits(unit);
  unit.push(fromInt(unit.environment, EXTENDED80, BigInt.asIntN(bits, unit.read(SIZES[bits]))));
});

/** A store to memory from an empty register; true when something is stored all the same. */
function maskedUnderflow(unit: FpuUnit): boolean {
  unit.noteAddress();
  return unit.stackFault(false);
}

/** Stores a result unless an exception that isn't masked keeps it back; true when the instruction goes on to pop. */
function storeUnlessStopped(unit: FpuUnit, store: () => void): boolean {
  const { environment, control } = unit;
  const isStored = (environment.flags & ~control & NO_STORE) === 0;
  if (isStored) store();
  else {
    unit.noteAddress();
    // What would have been rounded is not known to anybody.
    environment.flags &= ~FloatFlag.PE;
    environment.roundedUp = false;
  }
  unit.takeExceptions();
  return isStored;
}

function storeFloat(unit: FpuUnit): boolean {
  const format = formatOf(unit);
  const size = format === BINARY32 ? 4 : 8;
  if (unit.isEmpty(0)) {
    if (!maskedUnderflow(unit)) return false;
    unit.store(size, defaultNan(format));
    return true;
  }
  const result = convertValue(unit.environment, EXTENDED80, format, unit.value(0), false);
  return storeUnlessStopped(unit, () => unit.store(size, result));
}

/** FST and FSTP to a register: a copy, whatever it is. */
function storeRegister(unit: FpuUnit): boolean {
  if (!unit.isEmpty(0)) unit.writeParts(unit.index, unit.signExponent(0), unit.significand(0));
  else if (unit.stackFault(false)) unit.writeIndefinite(unit.index);
  else return false;
  return true;
}

/** FSTP to ten bytes of memory. */
function storeExtended(unit: FpuUnit): boolean {
  if (!unit.isEmpty(0)) unit.storeExtended((BigInt(unit.signExponent(0)) << 64n) | unit.significand(0));
  else if (maskedUnderflow(unit)) unit.storeExtended(defaultNan(EXTENDED80));
  else return false;
  return true;
}

const store = (pops: boolean): SystemHelper =>
  numeric((unit) => {
    const stored = unit.isRegister
      ? storeRegister(unit)
      : unit.instruction.opcode === 0xdb
        ? storeExtended(unit)
        : storeFloat(unit);
    if (stored && pops) unit.pop();
  });

const storeInteger = (pops: boolean, truncates: boolean): SystemHelper =>
  numeric((unit) => {
    const bits = integerBits(unit);
    const size = SIZES[bits];
    if (unit.isEmpty(0)) {
      if (!maskedUnderflow(unit)) return;
      unit.store(size, 1n << BigInt(bits - 1));
    } else {
      const result = toIntValue(unit.environment, unit.value(0), bits, truncates);
      if (!storeUnlessStopped(unit, () => unit.store(size, result))) return;
    }
    if (pops) unit.pop();
  });

const loadDecimal = numeric((unit) => unit.push(fromDecimal(unit.readExtended())));

const storeDecimal = numeric((unit) => {
  if (unit.isEmpty(0)) {
    if (!maskedUnderflow(unit)) return;
    unit.storeExtended(INDEFINITE_DECIMAL);
  } else {
    const result = toDecimal(unit.environment, unit.value(0));
    if (!storeUnlessStopped(unit, () => unit.storeExtended(result))) return;
  }
  unit.pop();
});

const constant = numeric((unit) => unit.push(constantBits(unit.index, unit.environment.rounding)));

const exchange = numeric((unit) => {
  const { index } = unit;
  if (unit.isEmpty(0) || unit.isEmpty(index)) {
    if (!unit.stackFault(false)) return;
    if (unit.isEmpty(0)) unit.writeIndefinite(0);
    if (unit.isEmpty(index)) unit.writeIndefinite(index);
  }
  const signExponent = unit.signExponent(0);
  const significand = unit.significand(0);
  unit.writeParts(0, unit.signExponent(index), unit.significand(index));
  unit.writeParts(index, signExponent, significand);
});

/** The flags that FCMOVcc looks at, by digit; opcode DB means none of them. */
const CONDITIONS = [Flag.CF, Flag.ZF, Flag.CF | Flag.ZF, Flag.PF];

const moveIf = numeric((unit) => {
  const { index, digit, instruction, context } = unit;
  if (unit.isEmpty(0) || unit.isEmpty(index)) {
    unit.status &= ~Status.C1;
    if (unit.stackFault(false)) unit.writeIndefinite(0);
    return;
  }
  const isSet = (context.state.rflags & (CONDITIONS[digit] ?? 0)) !== 0;
  if (isSet !== (instruction.opcode === 0xdb)) unit.writeParts(0, unit.signExponent(index), unit.significand(index));
}, true);

/** FSTP at an encoding that looks at no tags: an empty top is popped and nothing else. */
const storeUnchecked = numeric((unit) => {
  if (!unit.isEmpty(0)) storeRegister(unit);
  unit.pop();
});

export const moveHelpers: Readonly<Record<string, SystemHelper>> = {
  x87_load: load,
  x87_load_integer: loadInteger,
  x87_load_decimal: loadDecimal,
  x87_store: store(false),
  x87_store_pop: store(true),
  x87_store_unchecked_pop: storeUnchecked,
  x87_store_integer: storeInteger(false, false),
  x87_store_integer_pop: storeInteger(true, false),
  x87_store_truncated_pop: storeInteger(true, true),
  x87_store_decimal_pop: storeDecimal,
  x87_constant: constant,
  x87_exchange: exchange,
  x87_move_if: moveIf,
};
