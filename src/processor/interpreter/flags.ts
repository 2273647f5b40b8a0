import type { OperandSize } from '../../x86/instruction.ts';
import type { FlagSemantics, Value } from '../../x86/semantics.ts';
import * as L from '../state/layout.ts';
import { Op } from '../wasm/code.ts';
import { Expression, emit, type HandlerBuilder, Local } from './builder.ts';

const CARRY = 0;
const ADJUST = 4;
const OVERFLOW = 11;
/** Bits of FLAG_BITS that correct PF and SF: 0 after any result. */
const NONE = 0;

/** Arithmetic flags in their split form (state/layout.ts): a result, and the bits that don't follow from it. */
export class InterpreterFlags implements FlagSemantics {
  constructor(private readonly builder: HandlerBuilder) {}

  private result(): Value {
    return new Expression((code) => code.get(Local.BASE).memory(Op.i64_load, L.FLAG_RESULT));
  }
  private bits(): Value {
    return new Expression((code) => code.get(Local.BASE).memory(Op.i64_load32_u, L.FLAG_BITS));
  }
  private bit(number: number): Value {
    const { builder: b } = this;
    return b.and(b.shr(this.bits(), b.constant(number)), b.constant(1));
  }
  private storeBits(value: Value): void {
    const { code } = this.builder;
    code.get(Local.BASE);
    emit(code, value);
    code.memory(Op.i64_store32, L.FLAG_BITS);
  }
  private storeResult(result: Value, size: OperandSize): void {
    const { code } = this.builder;
    code.get(Local.BASE);
    emit(code, this.builder.signExtend(result, size));
    code.memory(Op.i64_store, L.FLAG_RESULT);
  }

  carry(): Value {
    return this.bit(CARRY);
  }
  adjust(): Value {
    return this.bit(ADJUST);
  }
  overflow(): Value {
    return this.bit(OVERFLOW);
  }
  zero(): Value {
    return this.builder.isZero(this.result());
  }
  sign(): Value {
    const { builder: b } = this;
    return b.xor(b.shr(this.result(), b.constant(63)), this.bit(7));
  }
  parity(): Value {
    const { builder: b } = this;
    const ones = b.countOnes(b.and(this.result(), b.constant(0xff)));
    return b.xor(b.and(b.xor(ones, b.constant(1)), b.constant(1)), this.bit(2));
  }
  low(): Value {
    const { builder: b } = this;
    const at = (value: Value, bit: number) => b.shl(value, b.constant(bit));
    return b.or(
      b.or(b.or(b.constant(2), this.carry()), b.or(at(this.parity(), 2), at(this.adjust(), 4))),
      b.or(at(this.zero(), 6), at(this.sign(), 7)),
    );
  }

  /** CF, AF and OF from the carries out of each bit. */
  private fromCarries(a: Value, b: Value, result: Value, carries: Value, overflow: Value, size: OperandSize): void {
    const { builder: s } = this;
    const top = s.constant(size - 1);
    const one = s.constant(1);
    const carry = s.and(s.shr(carries, top), one);
    const adjust = s.and(s.xor(s.xor(a, b), result), s.constant(0x10));
    const over = s.shl(s.and(s.shr(overflow, top), one), s.constant(OVERFLOW));
    this.storeBits(s.or(s.or(carry, adjust), over));
    this.storeResult(result, size);
  }

  addition(a: Value, b: Value, result: Value, size: OperandSize): void {
    const { builder: s } = this;
    const carries = s.or(s.and(a, b), s.and(s.or(a, b), s.not(result)));
    this.fromCarries(a, b, result, carries, s.and(s.xor(a, result), s.xor(b, result)), size);
  }
  subtraction(a: Value, b: Value, result: Value, size: OperandSize): void {
    const { builder: s } = this;
    const borrows = s.or(s.and(s.not(a), b), s.and(s.or(s.not(a), b), result));
    this.fromCarries(a, b, result, borrows, s.and(s.xor(a, b), s.xor(a, result)), size);
  }
  logic(result: Value, size: OperandSize): void {
    this.storeBits(this.builder.constant(NONE));
    this.storeResult(result, size);
  }
  increment(a: Value, result: Value, size: OperandSize, decrement: boolean): void {
    const { builder: s } = this;
    const adjust = s.and(s.xor(s.xor(a, result), s.constant(1)), s.constant(0x10));
    const limit = s.constant(decrement ? (1n << BigInt(size - 1)) - 1n : 1n << BigInt(size - 1));
    const overflow = s.shl(s.equal(result, limit), s.constant(OVERFLOW));
    this.storeBits(s.or(s.or(this.carry(), adjust), overflow));
    this.storeResult(result, size);
  }

  set(bits: { carry?: Value; overflow?: Value; adjust?: Value; result?: Value; size?: OperandSize }): void {
    const { builder: s } = this;
    let mask = 0n;
    let value: Value = s.constant(0);
    const put = (bit: number, flag: Value | undefined) => {
      if (!flag) return;
      mask |= 1n << BigInt(bit);
      value = s.or(value, s.shl(flag, s.constant(bit)));
    };
    put(CARRY, bits.carry);
    put(OVERFLOW, bits.overflow);
    put(ADJUST, bits.adjust);
    // A new result needs no correction of PF and SF.
    if (bits.result) mask |= 0x84n;
    this.storeBits(s.or(s.and(this.bits(), s.constant(~mask)), value));
    if (bits.result) this.storeResult(bits.result, bits.size ?? s.size);
  }
  setCarry(value: Value): void {
    this.set({ carry: value });
  }
  setZero(value: Value): void {
    const { builder: s } = this;
    const low = s.keep(this.low());
    const overflow = s.keep(this.overflow());
    this.setLow(s.or(s.and(low, s.constant(~0x40n)), s.shl(value, s.constant(6))));
    this.set({ overflow });
  }
  /** OF becomes 0: the caller sets it again where it must stay. */
  setLow(value: Value): void {
    const { builder: s } = this;
    const kept = s.keep(value);
    const zero = s.keep(s.and(s.shr(kept, s.constant(6)), s.constant(1)));
    this.storeResult(s.isZero(zero), 64);
    // The stored result is 0 (even parity) or 1 (odd), never negative.
    this.storeBits(s.xor(s.and(kept, s.constant(0x95)), s.shl(zero, s.constant(2))));
  }
}
