import { addValues, divValues, mulValues, sqrtValue } from '../softfloat/arithmetic.ts';
import { roundValueToInt, widened } from '../softfloat/convert.ts';
import type { FloatEnvironment } from '../softfloat/environment.ts';
import { BINARY32, BINARY64, EXTENDED80, type Unpacked, unpack } from '../softfloat/format.ts';
import type { SystemHelper } from '../system/context.ts';
import { numeric } from './availability.ts';
import type { FpuUnit } from './unit.ts';

type Operation = (environment: FloatEnvironment, a: Unpacked, b: Unpacked) => bigint;

/** A signed integer as an operand. */
export function integerOperand(value: bigint): Unpacked {
  const negative = value < 0n;
  return {
    kind: value === 0n ? 'zero' : 'finite',
    negative,
    exponent: 0,
    significand: negative ? -value : value,
    denormal: false,
  };
}

/** The memory operand of the opcodes D8 (single), DC (double), DA (32-bit integer) and DE (16-bit integer). */
export function memoryOperand(unit: FpuUnit): Unpacked {
  switch (unit.instruction.opcode & 7) {
    case 0:
      return widened(BINARY32, EXTENDED80, unpack(BINARY32, unit.read(4)));
    case 4:
      return widened(BINARY64, EXTENDED80, unpack(BINARY64, unit.read(8)));
    case 2:
      return integerOperand(BigInt.asIntN(32, unit.read(4)));
    default:
      return integerOperand(BigInt.asIntN(16, unit.read(2)));
  }
}

/**
 * FADD and its kin. Opcode D8 works on ST(0), DC and DE with a register on ST(i). An odd digit reverses subtraction and division; it
 * is counted from ST(0), whichever register the result goes to.
 */
function arithmetic(operation: Operation, reversible: boolean, pops: boolean): SystemHelper {
  return numeric((unit) => {
    const { isRegister, index } = unit;
    const other = isRegister ? undefined : memoryOperand(unit);
    const destination = isRegister && unit.instruction.opcode !== 0xd8 ? index : 0;
    if (unit.isEmpty(0) || (isRegister && unit.isEmpty(index))) {
      if (!unit.stackFault(false)) return;
      unit.writeIndefinite(destination);
    } else {
      const a = unit.value(0);
      const b = other ?? unit.value(index);
      const isReversed = reversible && (unit.digit & 1) !== 0;
      const result = operation(unit.withPrecision, isReversed ? b : a, isReversed ? a : b);
      if (!unit.takeExceptions()) return;
      unit.write(destination, result);
    }
    if (pops) unit.pop();
  });
}

/** An instruction that replaces ST(0) by something made of it. */
export function unary(operation: (unit: FpuUnit) => bigint): SystemHelper {
  return numeric((unit) => {
    if (unit.isEmpty(0)) {
      if (unit.stackFault(false)) unit.writeIndefinite(0);
      return;
    }
    const result = operation(unit);
    if (unit.takeExceptions()) unit.write(0, result);
  });
}

/** FABS and FCHS: they look at the sign alone. */
const sign = (change: (signExponent: number) => number): SystemHelper =>
  numeric((unit) => {
    if (!unit.isEmpty(0)) unit.writeParts(0, change(unit.signExponent(0)), unit.significand(0));
    else if (unit.stackFault(false)) unit.writeIndefinite(0);
  });

const add: Operation = (environment, a, b) => addValues(environment, EXTENDED80, a, b, false);
const subtract: Operation = (environment, a, b) => addValues(environment, EXTENDED80, a, b, true);
const multiply: Operation = (environment, a, b) => mulValues(environment, EXTENDED80, a, b);
const divide: Operation = (environment, a, b) => divValues(environment, EXTENDED80, a, b);

export const arithmeticHelpers: Readonly<Record<string, SystemHelper>> = {
  x87_add: arithmetic(add, false, false),
  x87_add_pop: arithmetic(add, false, true),
  x87_multiply: arithmetic(multiply, false, false),
  x87_multiply_pop: arithmetic(multiply, false, true),
  x87_subtract: arithmetic(subtract, true, false),
  x87_subtract_pop: arithmetic(subtract, true, true),
  x87_divide: arithmetic(divide, true, false),
  x87_divide_pop: arithmetic(divide, true, true),
  x87_change_sign: sign((bits) => bits ^ 0x8000),
  x87_absolute: sign((bits) => bits & 0x7fff),
  x87_square_root: unary((unit) => sqrtValue(unit.withPrecision, EXTENDED80, unit.value(0))),
  x87_round: unary((unit) => roundValueToInt(unit.environment, EXTENDED80, unit.value(0), 'current', false, true)),
};
