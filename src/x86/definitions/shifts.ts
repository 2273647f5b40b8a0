import type { InstructionDefinition } from '../notation.ts';
import type { Semantics, Value } from '../semantics.ts';

/**
 * Shifts and rotates. Undefined flags are left as AMD's Zen processors leave them (docs/undefined-flags.md).
 */

const groupForms = (digit: number): string[] => [
  `C0/${digit} Eb,Ib`,
  `C1/${digit} Ev,Ib`,
  `D0/${digit} Eb,1b`,
  `D1/${digit} Ev,1b`,
  `D2/${digit} Eb,Cb`,
  `D3/${digit} Ev,Cb`,
];

const topBit = (s: Semantics, value: Value): Value => s.and(s.shr(value, s.constant(s.size - 1)), s.constant(1));
const nextBit = (s: Semantics, value: Value): Value => s.and(s.shr(value, s.constant(s.size - 2)), s.constant(1));

/** The count, masked to 5 bits (6 for 64-bit operands). */
function maskedCount(s: Semantics, operand: number): Value {
  return s.keep(s.and(s.read(operand), s.constant(s.size === 64 ? 63 : 31)));
}

function shift(s: Semantics, kind: 'shl' | 'shr' | 'sar'): void {
  const a = s.readForWrite(0);
  const count = maskedCount(s, 1);
  const size = s.constant(s.size);
  const one = s.constant(1);
  const wide = s.keep(kind === 'sar' ? s.signExtend(a, s.size) : a);
  // A count is at most 31 for sizes below 64, and the value fits 32 bits: 64-bit shifts lose nothing that matters.
  const shifted = kind === 'shl' ? s.shl(wide, count) : kind === 'shr' ? s.shr(wide, count) : s.sar(wide, count);
  const result = s.keep(s.zeroExtend(shifted, s.size));
  s.write(0, result);
  s.when(count, () => {
    const before = s.sub(count, one);
    const carry = s.keep(
      s.and(
        kind === 'shl'
          ? s.select(s.lessU(size, count), s.constant(0), s.shr(wide, s.and(s.sub(size, count), s.constant(63))))
          : kind === 'shr'
            ? s.shr(wide, before)
            : s.sar(wide, before),
        one,
      ),
    );
    const overflow =
      kind === 'shl'
        ? s.xor(topBit(s, result), carry)
        : kind === 'shr'
          ? s.xor(topBit(s, result), nextBit(s, result))
          : s.constant(0);
    s.flags.set({ carry, overflow, adjust: one, result, size: s.size });
  });
}

function rotate(s: Semantics, left: boolean): void {
  const a = s.readForWrite(0);
  const count = maskedCount(s, 1);
  const turn = s.keep(s.and(count, s.constant(s.size - 1)));
  const back = s.and(s.sub(s.constant(s.size), turn), s.constant(s.size - 1));
  const result = s.keep(s.zeroExtend(left ? s.or(s.shl(a, turn), s.shr(a, back)) : s.or(s.shr(a, turn), s.shl(a, back)), s.size));
  s.write(0, result);
  s.when(count, () => {
    const carry = s.keep(left ? s.and(result, s.constant(1)) : topBit(s, result));
    s.flags.set({ carry, overflow: s.xor(topBit(s, result), left ? carry : nextBit(s, result)) });
  });
}

/** RCL and RCR: a rotation through size + 1 bits, done bit by bit (a count is at most 63). */
function rotateCarry(s: Semantics, left: boolean): void {
  const a = s.readForWrite(0);
  const masked = maskedCount(s, 1);
  const one = s.constant(1);
  const count = s.variable(s.size >= 32 ? masked : s.remU(masked, s.constant(s.size + 1)));
  const value = s.variable(a);
  const carry = s.variable(s.flags.carry());
  s.when(count, () => {
    s.repeat(() => {
      if (left) {
        const out = s.keep(topBit(s, value));
        value.set(s.zeroExtend(s.or(s.shl(value, one), carry), s.size));
        carry.set(out);
      } else {
        const out = s.keep(s.and(value, one));
        value.set(s.or(s.shr(value, one), s.shl(carry, s.constant(s.size - 1))));
        carry.set(out);
      }
      count.set(s.sub(count, one));
      return count;
    });
  });
  const result = s.keep(value);
  s.write(0, result);
  s.when(masked, () => {
    s.flags.set({ carry, overflow: s.xor(topBit(s, result), left ? carry : nextBit(s, result)) });
  });
}

function doubleShift(s: Semantics, left: boolean): void {
  const a = s.readForWrite(0);
  const b = s.read(1);
  const count = maskedCount(s, 2);
  const one = s.constant(1);
  const size = s.constant(s.size);
  if (s.size === 16) {
    // Counts above 16 pull the source in twice.
    const triple = left
      ? s.keep(s.or(s.or(s.shl(a, s.constant(32)), s.shl(b, s.constant(16))), b))
      : s.keep(s.or(s.or(s.shl(b, s.constant(32)), s.shl(b, s.constant(16))), a));
    const result = s.keep(s.zeroExtend(left ? s.shr(s.shl(triple, count), s.constant(32)) : s.shr(triple, count), 16));
    s.write(0, result);
    s.when(count, () => {
      const raw = left
        ? s.and(s.shr(a, s.and(s.sub(size, count), s.constant(63))), one)
        : s.and(s.shr(a, s.sub(count, one)), one);
      const carry = s.keep(s.select(s.lessU(size, count), s.constant(0), raw));
      s.flags.set({
        carry,
        // A left shift by the whole size or more leaves OF as CF.
        overflow: left
          ? s.xor(s.select(s.lessU(count, size), topBit(s, result), s.constant(0)), carry)
          : s.xor(topBit(s, result), nextBit(s, result)),
        adjust: one,
        result,
        size: 16,
      });
    });
    return;
  }
  const back = s.and(s.sub(size, count), s.constant(63));
  const mixed = left ? s.or(s.shl(a, count), s.shr(b, back)) : s.or(s.shr(a, count), s.shl(b, back));
  const result = s.keep(s.select(count, s.zeroExtend(mixed, s.size), a));
  s.write(0, result);
  s.when(count, () => {
    const carry = s.keep(s.and(left ? s.shr(a, back) : s.shr(a, s.sub(count, one)), one));
    s.flags.set({
      carry,
      overflow: s.xor(topBit(s, result), left ? carry : nextBit(s, result)),
      adjust: one,
      result,
      size: s.size,
    });
  });
}

export const shifts: readonly InstructionDefinition[] = [
  { mnemonic: 'ROL', summary: 'Rotate left', forms: groupForms(0), flags: 'w:OC', semantics: (s) => rotate(s, true) },
  { mnemonic: 'ROR', summary: 'Rotate right', forms: groupForms(1), flags: 'w:OC', semantics: (s) => rotate(s, false) },
  {
    mnemonic: 'RCL',
    summary: 'Rotate left through carry',
    forms: groupForms(2),
    flags: 'w:OC r:C',
    semantics: (s) => rotateCarry(s, true),
  },
  {
    mnemonic: 'RCR',
    summary: 'Rotate right through carry',
    forms: groupForms(3),
    flags: 'w:OC r:C',
    semantics: (s) => rotateCarry(s, false),
  },
  {
    mnemonic: 'SHL',
    summary: 'Shift left',
    forms: [...groupForms(4), ...groupForms(6)],
    flags: 'w:OSZPC u:A',
    semantics: (s) => shift(s, 'shl'),
  },
  {
    mnemonic: 'SHR',
    summary: 'Shift right, filling with zeroes',
    forms: groupForms(5),
    flags: 'w:OSZPC u:A',
    semantics: (s) => shift(s, 'shr'),
  },
  {
    mnemonic: 'SAR',
    summary: 'Shift right, keeping the sign',
    forms: groupForms(7),
    flags: 'w:OSZPC u:A',
    semantics: (s) => shift(s, 'sar'),
  },
  {
    mnemonic: 'SHLD',
    summary: 'Double precision shift left',
    forms: ['0F A4 Ev,Gv,Ib', '0F A5 Ev,Gv,Cb'],
    flags: 'w:OSZPC u:A',
    semantics: (s) => doubleShift(s, true),
  },
  {
    mnemonic: 'SHRD',
    summary: 'Double precision shift right',
    forms: ['0F AC Ev,Gv,Ib', '0F AD Ev,Gv,Cb'],
    flags: 'w:OSZPC u:A',
    semantics: (s) => doubleShift(s, false),
  },
];
