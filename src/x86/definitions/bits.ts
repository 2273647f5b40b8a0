import type { InstructionDefinition } from '../notation.ts';
import type { Semantics } from '../semantics.ts';

/** BT, BTS, BTR, BTC. A register bit offset reaches beyond a memory operand; an immediate one doesn't. */
function bitTest(s: Semantics, change: 'none' | 'set' | 'reset' | 'complement', immediate: boolean): void {
  const offset = s.read(1);
  const bit = s.keep(s.and(offset, s.constant(s.size - 1)));
  if (s.isMemory(0) && !immediate) {
    const units = s.sar(s.signExtend(offset, s.size), s.constant(s.size === 64 ? 6 : s.size === 32 ? 5 : 4));
    s.displaceMemory(s.mul(units, s.constant(s.size / 8)));
  }
  const value = change === 'none' ? s.read(0) : s.readForWrite(0);
  const mask = s.keep(s.shl(s.constant(1), bit));
  const carry = s.keep(s.and(s.shr(value, bit), s.constant(1)));
  if (change === 'set') s.write(0, s.or(value, mask));
  else if (change === 'reset') s.write(0, s.and(value, s.not(mask)));
  else if (change === 'complement') s.write(0, s.xor(value, mask));
  s.flags.setCarry(carry);
}

function bitScan(s: Semantics, reverse: boolean): void {
  const source = s.read(1);
  s.when(
    source,
    () => {
      const index = s.keep(reverse ? s.sub(s.constant(63), s.countLeadingZeros(source)) : s.countTrailingZeros(source));
      s.write(0, index);
      // AMD's processors: PF of the index; CF, OF, SF and AF clear, ZF clear even for index 0.
      s.flags.set({
        carry: s.constant(0),
        overflow: s.constant(0),
        adjust: s.constant(0),
        result: s.or(index, s.constant(0x100)),
        size: 16,
      });
    },
    () => s.flags.set({ carry: s.constant(0), overflow: s.constant(0), adjust: s.constant(0), result: s.constant(0), size: 16 }),
  );
}

/** TZCNT and LZCNT: CF when the source is 0, ZF when the result is. AMD's processors clear SF, AF and PF and keep OF. */
function countZeros(s: Semantics, leading: boolean): void {
  const source = s.read(1);
  const limit = s.constant(s.size);
  const count = leading
    ? s.sub(s.countLeadingZeros(source), s.constant(64 - s.size))
    : s.select(source, s.countTrailingZeros(source), limit);
  const result = s.keep(count);
  s.write(0, result);
  const zero = s.keep(s.isZero(result));
  const overflow = s.keep(s.flags.overflow());
  s.flags.setLow(s.or(s.shl(zero, s.constant(6)), s.isZero(source)));
  s.flags.set({ overflow });
}

const bitForms = (opcode: string, digit: number) => ({ register: [`0F ${opcode} Ev,Gv`], immediate: [`0F BA/${digit} Ev,Ib`] });

const tests = (
  [
    ['BT', 'A3', 4, 'none', 'Bit test'],
    ['BTS', 'AB', 5, 'set', 'Bit test and set'],
    ['BTR', 'B3', 6, 'reset', 'Bit test and reset'],
    ['BTC', 'BB', 7, 'complement', 'Bit test and complement'],
  ] as const
).flatMap(([mnemonic, opcode, digit, change, summary]): InstructionDefinition[] => {
  const forms = bitForms(opcode, digit);
  const common = { mnemonic, summary, flags: 'w:C', lock: change !== 'none' };
  return [
    { ...common, forms: forms.register, semantics: (s) => bitTest(s, change, false) },
    { ...common, forms: forms.immediate, semantics: (s) => bitTest(s, change, true) },
  ];
});

export const bits: readonly InstructionDefinition[] = [
  ...tests,
  {
    mnemonic: 'BSF',
    summary: 'Bit scan forward',
    forms: ['0F BC Gv,Ev'],
    flags: 'w:Z u:OSAPC',
    semantics: (s) => bitScan(s, false),
  },
  {
    mnemonic: 'BSR',
    summary: 'Bit scan reverse',
    forms: ['0F BD Gv,Ev'],
    flags: 'w:Z u:OSAPC',
    semantics: (s) => bitScan(s, true),
  },
  {
    mnemonic: 'TZCNT',
    summary: 'Count trailing zeroes',
    forms: ['F3 0F BC Gv,Ev'],
    flags: 'w:ZC u:OSAP',
    feature: 'bmi1',
    semantics: (s) => countZeros(s, false),
  },
  {
    mnemonic: 'LZCNT',
    summary: 'Count leading zeroes',
    forms: ['F3 0F BD Gv,Ev'],
    flags: 'w:ZC u:OSAP',
    feature: 'lzcnt',
    semantics: (s) => countZeros(s, true),
  },
  {
    mnemonic: 'POPCNT',
    summary: 'Count ones',
    forms: ['F3 0F B8 Gv,Ev'],
    flags: 'w:OSZAPC',
    feature: 'popcnt',
    semantics: (s) => {
      const source = s.read(1);
      s.write(0, s.countOnes(source));
      s.flags.setLow(s.shl(s.isZero(source), s.constant(6)));
      s.flags.set({ overflow: s.constant(0) });
    },
  },
];
