import type { OperandSize } from '../../x86/instruction.ts';
import type { Value, Variable } from '../../x86/semantics.ts';
import { Code, Op } from './code.ts';

/** A value as the code that computes it. It is pure: emitting it twice computes it twice. */
export class Expression implements Value {
  readonly brand = 'value';
  constructor(readonly emit: (code: Code) => void) {}
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
  if (!(value instanceof Expression)) throw new Error('a value of another builder');
  value.emit(code);
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

  protected binary(opcode: number, a: Value, b: Value): Value {
    return new Expression((code) => {
      emit(code, a);
      emit(code, b);
      code.op(opcode);
    });
  }
  protected unary(a: Value, ...opcodes: number[]): Value {
    return new Expression((code) => {
      emit(code, a);
      code.op(...opcodes);
    });
  }
  protected compare(opcode: number, a: Value, b: Value): Value {
    return this.unary(this.binary(opcode, a, b), Op.i64_extend_i32_u);
  }

  constant(value: bigint | number): Value {
    const number = BigInt(value);
    return new Expression((code) => code.i64(number));
  }
  add(a: Value, b: Value): Value {
    return this.binary(Op.i64_add, a, b);
  }
  sub(a: Value, b: Value): Value {
    return this.binary(Op.i64_sub, a, b);
  }
  mul(a: Value, b: Value): Value {
    return this.binary(Op.i64_mul, a, b);
  }
  and(a: Value, b: Value): Value {
    return this.binary(Op.i64_and, a, b);
  }
  or(a: Value, b: Value): Value {
    return this.binary(Op.i64_or, a, b);
  }
  xor(a: Value, b: Value): Value {
    return this.binary(Op.i64_xor, a, b);
  }
  not(a: Value): Value {
    return this.binary(Op.i64_xor, a, this.constant(-1));
  }
  shl(a: Value, count: Value): Value {
    return this.binary(Op.i64_shl, a, count);
  }
  shr(a: Value, count: Value): Value {
    return this.binary(Op.i64_shr_u, a, count);
  }
  sar(a: Value, count: Value): Value {
    return this.binary(Op.i64_shr_s, a, count);
  }
  divU(a: Value, b: Value): Value {
    return this.binary(Op.i64_div_u, a, b);
  }
  remU(a: Value, b: Value): Value {
    return this.binary(Op.i64_rem_u, a, b);
  }
  divS(a: Value, b: Value): Value {
    return this.binary(Op.i64_div_s, a, b);
  }
  remS(a: Value, b: Value): Value {
    return this.binary(Op.i64_rem_s, a, b);
  }
  countLeadingZeros(a: Value): Value {
    return this.unary(a, Op.i64_clz);
  }
  countTrailingZeros(a: Value): Value {
    return this.unary(a, Op.i64_ctz);
  }
  countOnes(a: Value): Value {
    return this.unary(a, Op.i64_popcnt);
  }
  zeroExtend(a: Value, size: OperandSize): Value {
    return size === 64 ? a : this.and(a, this.constant((1n << BigInt(size)) - 1n));
  }
  signExtend(a: Value, size: OperandSize): Value {
    if (size === 64) return a;
    return this.unary(a, size === 8 ? Op.i64_extend8_s : size === 16 ? Op.i64_extend16_s : Op.i64_extend32_s);
  }
  equal(a: Value, b: Value): Value {
    return this.compare(Op.i64_eq, a, b);
  }
  lessU(a: Value, b: Value): Value {
    return this.compare(Op.i64_lt_u, a, b);
  }
  lessS(a: Value, b: Value): Value {
    return this.compare(Op.i64_lt_s, a, b);
  }
  isZero(a: Value): Value {
    return this.unary(a, Op.i64_eqz, Op.i64_extend_i32_u);
  }
  select(condition: Value, yes: Value, no: Value): Value {
    return new Expression((code) => {
      emit(code, yes);
      emit(code, no);
      emit(code, condition);
      code.op(Op.i64_eqz, Op.i32_eqz, Op.select);
    });
  }
  keep(value: Value): Value {
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
