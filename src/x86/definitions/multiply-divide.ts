import type { OperandSize } from '../instruction.ts';
import type { InstructionDefinition } from '../notation.ts';
import type { Semantics, Value } from '../semantics.ts';

const RAX = 0;
const RDX = 2;
const DIVIDE_ERROR = 0;

/** High 64 bits of an unsigned 64 × 64 multiplication, by 32-bit halves. */
export function highProduct(s: Semantics, a: Value, b: Value): Value {
  const half = s.constant(32);
  const low = s.constant(0xffff_ffffn);
  const aLow = s.keep(s.and(a, low));
  const aHigh = s.keep(s.shr(a, half));
  const bLow = s.keep(s.and(b, low));
  const bHigh = s.keep(s.shr(b, half));
  const middle = s.keep(s.add(s.mul(aHigh, bLow), s.shr(s.mul(aLow, bLow), half)));
  const middle2 = s.keep(s.add(s.mul(aLow, bHigh), s.and(middle, low)));
  return s.keep(s.add(s.add(s.mul(aHigh, bHigh), s.shr(middle, half)), s.shr(middle2, half)));
}

function highProductSigned(s: Semantics, a: Value, b: Value): Value {
  const sixtyThree = s.constant(63);
  const high = highProduct(s, a, b);
  return s.keep(s.sub(s.sub(high, s.and(s.sar(a, sixtyThree), b)), s.and(s.sar(b, sixtyThree), a)));
}

/** MUL and one-operand IMUL: rDX:rAX = rAX × operand. */
function multiplyWide(s: Semantics, signed: boolean): void {
  const source = s.read(0);
  const accumulator = s.keep(s.register(RAX, s.size));
  if (s.size === 64) {
    const low = s.keep(s.mul(accumulator, source));
    const high = signed ? highProductSigned(s, accumulator, source) : highProduct(s, accumulator, source);
    s.setRegister(RAX, 64, low);
    s.setRegister(RDX, 64, high);
    const carry = s.keep(s.isZero(s.equal(high, signed ? s.sar(low, s.constant(63)) : s.constant(0))));
    s.flags.set({ carry, overflow: carry });
    return;
  }
  const extend = (value: Value) => (signed ? s.signExtend(value, s.size) : value);
  const product = s.keep(s.mul(extend(accumulator), extend(source)));
  const size = s.constant(s.size);
  if (s.size === 8) s.setRegister(RAX, 16, product);
  else {
    s.setRegister(RAX, s.size, product);
    s.setRegister(RDX, s.size, s.shr(product, size));
  }
  const fits = signed ? s.equal(s.signExtend(product, s.size), product) : s.isZero(s.shr(product, size));
  const carry = s.keep(s.isZero(fits));
  s.flags.set({ carry, overflow: carry });
}

function multiplyInto(s: Semantics, left: number, right: number): void {
  const a = s.keep(s.signExtend(s.read(left), s.size));
  const b = s.keep(s.signExtend(s.read(right), s.size));
  const product = s.keep(s.mul(a, b));
  let overflow: Value;
  if (s.size === 64) overflow = s.isZero(s.equal(highProductSigned(s, a, b), s.sar(product, s.constant(63))));
  else overflow = s.isZero(s.equal(s.signExtend(product, s.size), product));
  const carry = s.keep(overflow);
  s.write(0, product);
  s.flags.set({ carry, overflow: carry });
}

/** Divides the 128-bit high:low by a divisor that is greater than high, bit by bit. Gives [quotient, remainder]. */
function longDivision(s: Semantics, high: Value, low: Value, divisor: Value): readonly [Value, Value] {
  const one = s.constant(1);
  const remainder = s.variable(high);
  const quotient = s.variable(low);
  const left = s.variable(s.constant(64));
  s.when(
    high,
    () => {
      s.repeat(() => {
        const carry = s.keep(s.shr(remainder, s.constant(63)));
        remainder.set(s.or(s.shl(remainder, one), s.shr(quotient, s.constant(63))));
        quotient.set(s.shl(quotient, one));
        s.when(s.or(carry, s.isZero(s.lessU(remainder, divisor))), () => {
          remainder.set(s.sub(remainder, divisor));
          quotient.set(s.or(quotient, one));
        });
        left.set(s.sub(left, one));
        return left;
      });
    },
    () => {
      remainder.set(s.remU(low, divisor));
      quotient.set(s.divU(low, divisor));
    },
  );
  return [s.keep(quotient), s.keep(remainder)];
}

function finishDivision(s: Semantics, quotient: Value, remainder: Value): void {
  if (s.size === 8) s.setRegister(RAX, 16, s.or(s.shl(s.zeroExtend(remainder, 8), s.constant(8)), s.zeroExtend(quotient, 8)));
  else {
    s.setRegister(RAX, s.size, quotient);
    s.setRegister(RDX, s.size, remainder);
  }
  // AMD's processors leave SF = ZF = PF = 0 and AF = 1; a result of 1 has those SF, ZF and PF.
  s.flags.set({ adjust: s.constant(1), result: s.constant(1), size: 8 });
}

function divideUnsigned(s: Semantics): void {
  const divisor = s.read(0);
  s.when(s.isZero(divisor), () => s.raise(DIVIDE_ERROR));
  if (s.size === 64) {
    const high = s.keep(s.register(RDX, 64));
    s.when(s.isZero(s.lessU(high, divisor)), () => s.raise(DIVIDE_ERROR));
    const [quotient, remainder] = longDivision(s, high, s.keep(s.register(RAX, 64)), divisor);
    finishDivision(s, quotient, remainder);
    return;
  }
  const dividend = s.keep(
    s.size === 8 ? s.register(RAX, 16) : s.or(s.shl(s.register(RDX, s.size), s.constant(s.size)), s.register(RAX, s.size)),
  );
  const quotient = s.keep(s.divU(dividend, divisor));
  s.when(s.shr(quotient, s.constant(s.size)), () => s.raise(DIVIDE_ERROR));
  finishDivision(s, quotient, s.keep(s.remU(dividend, divisor)));
}

function divideSigned(s: Semantics): void {
  const raw = s.read(0);
  s.when(s.isZero(raw), () => s.raise(DIVIDE_ERROR));
  const divisor = s.keep(s.signExtend(raw, s.size));
  const sixtyThree = s.constant(63);
  if (s.size === 64) {
    const high = s.keep(s.register(RDX, 64));
    const low = s.keep(s.register(RAX, 64));
    const signDividend = s.keep(s.sar(high, sixtyThree));
    const signDivisor = s.keep(s.sar(divisor, sixtyThree));
    // |high:low| by two's complement over 128 bits.
    const absoluteLow = s.keep(s.sub(s.xor(low, signDividend), signDividend));
    const carry = s.keep(s.and(signDividend, s.isZero(low)));
    const absoluteHigh = s.keep(s.add(s.xor(high, signDividend), carry));
    const absoluteDivisor = s.keep(s.sub(s.xor(divisor, signDivisor), signDivisor));
    s.when(s.isZero(s.lessU(absoluteHigh, absoluteDivisor)), () => s.raise(DIVIDE_ERROR));
    const [quotient, remainder] = longDivision(s, absoluteHigh, absoluteLow, absoluteDivisor);
    const sign = s.keep(s.xor(signDividend, signDivisor));
    const signedQuotient = s.keep(s.sub(s.xor(quotient, sign), sign));
    // Too big when the sign came out wrong (a zero quotient has no sign).
    s.when(s.and(s.isZero(s.isZero(quotient)), s.xor(s.shr(signedQuotient, sixtyThree), s.and(sign, s.constant(1)))), () =>
      s.raise(DIVIDE_ERROR),
    );
    finishDivision(s, signedQuotient, s.keep(s.sub(s.xor(remainder, signDividend), signDividend)));
    return;
  }
  const dividend = s.keep(
    s.size === 8
      ? s.signExtend(s.register(RAX, 16), 16)
      : s.size === 16
        ? s.signExtend(s.or(s.shl(s.register(RDX, 16), s.constant(16)), s.register(RAX, 16)), 32)
        : s.or(s.shl(s.register(RDX, 32), s.constant(32)), s.register(RAX, 32)),
  );
  // The one quotient that a 64-bit signed division can't hold.
  s.when(s.and(s.equal(dividend, s.constant(-0x8000_0000_0000_0000n)), s.equal(divisor, s.constant(-1))), () =>
    s.raise(DIVIDE_ERROR),
  );
  const quotient = s.keep(s.divS(dividend, divisor));
  s.when(s.isZero(s.equal(quotient, s.signExtend(quotient, s.size))), () => s.raise(DIVIDE_ERROR));
  finishDivision(s, quotient, s.keep(s.remS(dividend, divisor)));
}

function widen(s: Semantics): void {
  const half: OperandSize = s.size === 64 ? 32 : s.size === 32 ? 16 : 8;
  s.setRegister(RAX, s.size, s.signExtend(s.register(RAX, half), half));
}

export const multiplyDivide: readonly InstructionDefinition[] = [
  {
    mnemonic: 'MUL',
    summary: 'Unsigned multiply',
    forms: ['F6/4 Eb', 'F7/4 Ev'],
    flags: 'w:OC u:SZAP',
    semantics: (s) => multiplyWide(s, false),
  },
  {
    mnemonic: 'IMUL',
    summary: 'Signed multiply',
    forms: ['F6/5 Eb', 'F7/5 Ev'],
    flags: 'w:OC u:SZAP',
    semantics: (s) => multiplyWide(s, true),
  },
  {
    mnemonic: 'IMUL',
    summary: 'Signed multiply',
    forms: ['0F AF Gv,Ev'],
    flags: 'w:OC u:SZAP',
    semantics: (s) => multiplyInto(s, 0, 1),
  },
  {
    mnemonic: 'IMUL',
    summary: 'Signed multiply',
    forms: ['69 Gv,Ev,Iz', '6B Gv,Ev,Is'],
    flags: 'w:OC u:SZAP',
    semantics: (s) => multiplyInto(s, 1, 2),
  },
  { mnemonic: 'DIV', summary: 'Unsigned divide', forms: ['F6/6 Eb', 'F7/6 Ev'], flags: 'u:OSZAPC', semantics: divideUnsigned },
  { mnemonic: 'IDIV', summary: 'Signed divide', forms: ['F6/7 Eb', 'F7/7 Ev'], flags: 'u:OSZAPC', semantics: divideSigned },
  {
    mnemonic: 'CBW',
    summary: 'Sign-extend AL, AX or EAX into the accumulator (CBW, CWDE, CDQE)',
    forms: ['98 Av'],
    semantics: widen,
  },
  {
    mnemonic: 'CWD',
    summary: 'Sign-extend the accumulator into rDX (CWD, CDQ, CQO)',
    forms: ['99 Av'],
    semantics: (s) => s.setRegister(RDX, s.size, s.sar(s.signExtend(s.register(RAX, s.size), s.size), s.constant(63))),
  },
];
