import type { OperandSize } from '../../x86/instruction.ts';
import type { FlagSemantics, Value } from '../../x86/semantics.ts';
import type { InstructionBuilder } from './instruction-builder.ts';
import type { ValueBuilder } from './value-builder.ts';

/** Bits of FLAG_BITS. */
const CARRY = 63;
const CARRY_XOR_OVERFLOW = 62;
const ADJUST = 3;
const SIGN_CORRECTION = 1;
const CORRECTIONS = 3n;
/** AF in EFLAGS. */
const ADJUST_FLAG = 4;

/** FLAG_BITS of the carries out of the bits of a result of some size. */
function carryBits(s: ValueBuilder, carries: Value, size: OperandSize): Value {
  // Carries of 64 bits fill the word: where the corrections are, there are none.
  if (size === 64) return s.and(carries, s.constant(-8));
  const kept = s.keep(carries);
  return s.or(s.shl(kept, s.constant(64 - size)), s.and(kept, s.constant(1 << ADJUST)));
}

/** FLAG_BITS behind a + b, with or without a carry in. Bits of the values beyond their size don't matter. */
export function carriesOfAddition(s: ValueBuilder, a: Value, b: Value, result: Value, size: OperandSize): Value {
  return carryBits(s, s.or(s.and(a, b), s.and(s.or(a, b), s.not(result))), size);
}

/** FLAG_BITS behind a - b, with or without a borrow in. */
export function carriesOfSubtraction(s: ValueBuilder, a: Value, b: Value, result: Value, size: OperandSize): Value {
  return carryBits(s, s.or(s.and(s.not(a), b), s.and(s.or(s.not(a), b), result)), size);
}

/** FLAG_BITS behind INC or DEC of `a`. `carry` is what CF was, as bit 63; `result` is zero-extended. */
export function carriesOfStep(
  s: ValueBuilder,
  a: Value,
  result: Value,
  size: OperandSize,
  decrement: boolean,
  carry: Value,
): Value {
  const limit = s.constant(decrement ? (1n << BigInt(size - 1)) - 1n : 1n << BigInt(size - 1));
  const overflow = s.shl(s.equal(result, limit), s.constant(CARRY_XOR_OVERFLOW));
  const adjust = s.shr(s.and(s.xor(s.xor(a, result), s.constant(1)), s.constant(0x10)), s.constant(1));
  return s.or(s.or(carry, s.xor(s.shr(carry, s.constant(1)), overflow)), adjust);
}

/**
 * Arithmetic flags in their split form (state/layout.ts): a result, and the carries that it came with. Who extends it says
 * where the two words are.
 */
export abstract class SplitFlags implements FlagSemantics {
  constructor(protected readonly builder: InstructionBuilder) {}

  protected abstract result(): Value;
  protected abstract bits(): Value;
  protected abstract storeBits(value: Value): void;
  /** Stores the result, sign-extended from its size. */
  protected abstract storeResult(result: Value, size: OperandSize): void;

  /** Bit of a value, 1 or 0. */
  protected bitOf(value: Value, number: number): Value {
    const { builder: b } = this;
    return number === 63 ? b.shr(value, b.constant(63)) : b.and(b.shr(value, b.constant(number)), b.constant(1));
  }
  protected at(flag: Value, bit: number): Value {
    return this.builder.shl(flag, this.builder.constant(bit));
  }

  carry(): Value {
    return this.bitOf(this.bits(), CARRY);
  }
  adjust(): Value {
    return this.bitOf(this.bits(), ADJUST);
  }
  overflow(): Value {
    const { builder: b } = this;
    return this.bitOf(b.xor(this.bits(), this.at(this.bits(), 1)), CARRY);
  }
  zero(): Value {
    return this.builder.isZero(this.result());
  }
  sign(): Value {
    const { builder: b } = this;
    return b.xor(this.bitOf(this.result(), 63), this.bitOf(this.bits(), SIGN_CORRECTION));
  }
  parity(): Value {
    const { builder: b } = this;
    const ones = b.countOnes(b.and(this.result(), b.constant(0xff)));
    return b.and(b.xor(b.xor(ones, this.bits()), b.constant(1)), b.constant(1));
  }
  low(): Value {
    const { builder: b } = this;
    return b.or(
      b.or(b.or(b.constant(2), this.carry()), b.or(this.at(this.parity(), 2), this.at(this.adjust(), ADJUST_FLAG))),
      b.or(this.at(this.zero(), 6), this.at(this.sign(), 7)),
    );
  }

  addition(a: Value, b: Value, result: Value, size: OperandSize, _carryIn?: Value): void {
    this.storeBits(carriesOfAddition(this.builder, a, b, result, size));
    this.storeResult(result, size);
  }
  subtraction(a: Value, b: Value, result: Value, size: OperandSize, _borrowIn?: Value): void {
    this.storeBits(carriesOfSubtraction(this.builder, a, b, result, size));
    this.storeResult(result, size);
  }
  logic(result: Value, size: OperandSize): void {
    this.storeBits(this.builder.constant(0));
    this.storeResult(result, size);
  }
  increment(a: Value, result: Value, size: OperandSize, decrement: boolean): void {
    const { builder: s } = this;
    const carry = s.keep(s.and(this.bits(), s.constant(1n << 63n)));
    this.storeBits(carriesOfStep(s, a, result, size, decrement, carry));
    this.storeResult(result, size);
  }

  set(bits: { carry?: Value; overflow?: Value; adjust?: Value; result?: Value; size?: OperandSize }): void {
    const { builder: s } = this;
    const carry = s.keep(bits.carry ?? this.carry());
    const overflow = bits.overflow ?? this.overflow();
    const adjust = bits.adjust ?? this.adjust();
    const highest = s.or(this.at(carry, CARRY), this.at(s.xor(carry, overflow), CARRY_XOR_OVERFLOW));
    const arithmetic = s.or(highest, this.at(adjust, ADJUST));
    // A new result needs no correction of PF and SF.
    this.storeBits(bits.result ? arithmetic : s.or(arithmetic, s.and(this.bits(), s.constant(CORRECTIONS))));
    if (bits.result) this.storeResult(bits.result, bits.size ?? s.size);
  }
  setCarry(value: Value): void {
    this.set({ carry: value });
  }
  setZero(value: Value): void {
    const { builder: s } = this;
    const low = s.keep(this.low());
    const overflow = s.keep(this.overflow());
    this.setLow(s.or(s.and(low, s.constant(~0x40n)), this.at(value, 6)));
    this.set({ overflow });
  }
  /** OF becomes 0: the caller sets it again where it must stay. */
  setLow(value: Value): void {
    const { builder: s } = this;
    const kept = s.keep(value);
    const carry = s.keep(s.and(kept, s.constant(1)));
    const zero = s.keep(this.bitOf(kept, 6));
    this.storeResult(s.isZero(zero), 64);
    // The stored result is 0 (even parity) or 1 (odd parity), never negative.
    const parity = s.xor(this.bitOf(kept, 2), zero);
    const corrections = s.or(parity, this.at(this.bitOf(kept, 7), SIGN_CORRECTION));
    const highest = s.or(this.at(carry, CARRY), this.at(carry, CARRY_XOR_OVERFLOW));
    this.storeBits(s.or(s.or(highest, corrections), this.at(this.bitOf(kept, ADJUST_FLAG), ADJUST)));
  }
}
