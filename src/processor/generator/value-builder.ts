import type { OperandSize } from '../../x86/instruction.ts';
import type { Value, Variable } from '../../x86/semantics.ts';
import { Code, Op } from '../wasm/code.ts';

/** A value as the code that computes it. It is pure: emitting it twice computes it twice. */
export class Expression implements Value {
  readonly brand = 'value';
  constructor(readonly emit: (code: Code) => void) {}
}

/** A value that is known while code is built. What is computed from such values alone is one too. */
export class Constant extends Expression {
  /** 0 to 2^64 - 1. */
  readonly value: bigint;
  constructor(value: bigint) {
    const bits = BigInt.asUintN(64, value);
    super((code) => code.i64(bits));
    this.value = bits;
  }
}

/** A value that is 1 or 0. As the condition of a branch it is used in 32 bits, as it is computed. */
export class Truth extends Expression {
  constructor(readonly emit32: (code: Code) => void) {
    super((code) => {
      emit32(code);
      code.op(Op.i64_extend_i32_u);
    });
  }
}

class LocalVariable extends Expression implements Variable {
  constructor(
    readonly local: number,
    private readonly code: () => Code,
  ) {
    super((code) => code.get(local));
  }
  set(value: Value): void {
    const code = this.code();
    emit(code, value);
    code.set(this.local);
  }
}

export function emit(code: Code, value: Value): void {
  expression(value).emit(code);
}

/** Leaves a 32-bit number on the stack that is 0 exactly when the value is. */
export function emitTruth(code: Code, value: Value): void {
  const condition = expression(value);
  if (condition instanceof Truth) condition.emit32(code);
  else {
    condition.emit(code);
    code.i64(0n).op(Op.i64_ne);
  }
}

function expression(value: Value): Expression {
  if (!(value instanceof Expression)) throw new Error('a value of another builder');
  return value;
}

/** The number that a value is known to be. */
export function known(value: Value): bigint | undefined {
  return value instanceof Constant ? value.value : undefined;
}

/** The part of the code-building interface that knows no processor: arithmetic on 64-bit values, kept in locals of one function. */
export abstract class ValueBuilder {
  readonly code = new Code();
  /** Labels that stand around the code being written, inside of the builder's own outermost level. */
  protected depth = 0;

  /** `localsUsed`: the first local that is free; all that are taken are i64. */
  constructor(public localsUsed: number) {}

  protected newLocal(): number {
    return this.localsUsed++;
  }

  /** `fold` computes from two known operands; `same` tells when the first operand is the result. */
  private binary(
    opcode: number,
    a: Value,
    b: Value,
    fold: (a: bigint, b: bigint) => bigint,
    same: (b: bigint) => boolean = () => false,
  ): Value {
    const x = known(a);
    const y = known(b);
    if (x !== undefined && y !== undefined) return new Constant(fold(x, y));
    if (y !== undefined && same(y)) return a;
    return new Expression((code) => {
      emit(code, a);
      emit(code, b);
      code.op(opcode);
    });
  }
  /** Logic of two truths stays one. */
  private logic(
    wide: number,
    narrow: number,
    a: Value,
    b: Value,
    fold: (a: bigint, b: bigint) => bigint,
    same: (b: bigint) => boolean,
  ): Value {
    if (!(a instanceof Truth && b instanceof Truth)) return this.binary(wide, a, b, fold, same);
    return new Truth((code) => {
      a.emit32(code);
      b.emit32(code);
      code.op(narrow);
    });
  }
  private unary(a: Value, opcode: number, fold: (a: bigint) => bigint): Value {
    const x = known(a);
    if (x !== undefined) return new Constant(fold(x));
    return new Expression((code) => {
      emit(code, a);
      code.op(opcode);
    });
  }
  private compare(opcode: number, a: Value, b: Value, fold: (a: bigint, b: bigint) => boolean): Value {
    const x = known(a);
    const y = known(b);
    if (x !== undefined && y !== undefined) return new Constant(fold(x, y) ? 1n : 0n);
    return new Truth((code) => {
      emit(code, a);
      emit(code, b);
      code.op(opcode);
    });
  }

  constant(value: bigint | number): Value {
    return new Constant(BigInt(value));
  }
  add(a: Value, b: Value): Value {
    return this.binary(Op.i64_add, a, b, (x, y) => x + y, isNothing);
  }
  sub(a: Value, b: Value): Value {
    return this.binary(Op.i64_sub, a, b, (x, y) => x - y, isNothing);
  }
  mul(a: Value, b: Value): Value {
    return this.binary(Op.i64_mul, a, b, (x, y) => x * y);
  }
  and(a: Value, b: Value): Value {
    return this.logic(
      Op.i64_and,
      Op.i32_and,
      a,
      b,
      (x, y) => x & y,
      (y) => y === ALL_ONES,
    );
  }
  or(a: Value, b: Value): Value {
    return this.logic(Op.i64_or, Op.i32_or, a, b, (x, y) => x | y, isNothing);
  }
  xor(a: Value, b: Value): Value {
    return this.logic(Op.i64_xor, Op.i32_xor, a, b, (x, y) => x ^ y, isNothing);
  }
  not(a: Value): Value {
    return this.binary(Op.i64_xor, a, this.constant(-1), (x, y) => x ^ y);
  }
  shl(a: Value, count: Value): Value {
    return this.binary(Op.i64_shl, a, count, (x, y) => x << (y & 63n), isNothing);
  }
  shr(a: Value, count: Value): Value {
    return this.binary(Op.i64_shr_u, a, count, (x, y) => x >> (y & 63n), isNothing);
  }
  sar(a: Value, count: Value): Value {
    return this.binary(Op.i64_shr_s, a, count, (x, y) => signed(x) >> (y & 63n), isNothing);
  }
  divU(a: Value, b: Value): Value {
    return this.binary(Op.i64_div_u, a, b, (x, y) => x / y);
  }
  remU(a: Value, b: Value): Value {
    return this.binary(Op.i64_rem_u, a, b, (x, y) => x % y);
  }
  divS(a: Value, b: Value): Value {
    return this.binary(Op.i64_div_s, a, b, (x, y) => signed(x) / signed(y));
  }
  remS(a: Value, b: Value): Value {
    return this.binary(Op.i64_rem_s, a, b, (x, y) => signed(x) % signed(y));
  }
  countLeadingZeros(a: Value): Value {
    return this.unary(a, Op.i64_clz, (x) => BigInt(64 - (x === 0n ? 0 : x.toString(2).length)));
  }
  countTrailingZeros(a: Value): Value {
    return this.unary(a, Op.i64_ctz, (x) => (x === 0n ? 64n : BigInt((x & -x).toString(2).length - 1)));
  }
  countOnes(a: Value): Value {
    return this.unary(a, Op.i64_popcnt, (x) => BigInt(x.toString(2).replaceAll('0', '').length));
  }
  zeroExtend(a: Value, size: OperandSize): Value {
    return size === 64 ? a : this.and(a, this.constant((1n << BigInt(size)) - 1n));
  }
  signExtend(a: Value, size: OperandSize): Value {
    if (size === 64) return a;
    const opcode = size === 8 ? Op.i64_extend8_s : size === 16 ? Op.i64_extend16_s : Op.i64_extend32_s;
    return this.unary(a, opcode, (x) => BigInt.asIntN(size, x));
  }
  equal(a: Value, b: Value): Value {
    return this.compare(Op.i64_eq, a, b, (x, y) => x === y);
  }
  lessU(a: Value, b: Value): Value {
    return this.compare(Op.i64_lt_u, a, b, (x, y) => x < y);
  }
  lessS(a: Value, b: Value): Value {
    return this.compare(Op.i64_lt_s, a, b, (x, y) => signed(x) < signed(y));
  }
  isZero(a: Value): Value {
    const x = known(a);
    if (x !== undefined) return new Constant(x === 0n ? 1n : 0n);
    return new Truth((code) => {
      if (a instanceof Truth) {
        a.emit32(code);
        code.op(Op.i32_eqz);
      } else {
        emit(code, a);
        code.op(Op.i64_eqz);
      }
    });
  }
  select(condition: Value, yes: Value, no: Value): Value {
    const decided = known(condition);
    if (decided !== undefined) return decided === 0n ? no : yes;
    return new Expression((code) => {
      emit(code, yes);
      emit(code, no);
      emitTruth(code, condition);
      code.op(Op.select);
    });
  }
  keep(value: Value): Value {
    if (value instanceof Constant) return value;
    const local = this.newLocal();
    emit(this.code, value);
    this.code.set(local);
    return new Expression((code) => code.get(local));
  }
  variable(initial: Value): Variable {
    const variable = new LocalVariable(this.newLocal(), () => this.code);
    variable.set(initial);
    return variable;
  }
}

const ALL_ONES = 0xffff_ffff_ffff_ffffn;
const isNothing = (value: bigint): boolean => value === 0n;
const signed = (value: bigint): bigint => BigInt.asIntN(64, value);
