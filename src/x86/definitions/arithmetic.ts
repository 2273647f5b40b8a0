import type { InstructionDefinition } from '../notation.ts';
import type { Semantics, Value } from '../semantics.ts';

/** The eight encodings that the classic two-operand instructions share, from their row of the opcode map. */
function aluForms(row: number): string[] {
  const at = (offset: number) => (row * 8 + offset).toString(16).toUpperCase().padStart(2, '0');
  return [
    `${at(0)} Eb,Gb`,
    `${at(1)} Ev,Gv`,
    `${at(2)} Gb,Eb`,
    `${at(3)} Gv,Ev`,
    `${at(4)} Ab,Ib`,
    `${at(5)} Av,Iz`,
    `80/${row} Eb,Ib`,
    `81/${row} Ev,Iz`,
    `82/${row} Eb,Ib i64`,
    `83/${row} Ev,Is`,
  ];
}

function addition(s: Semantics, carryIn?: Value): void {
  const a = s.readForWrite(0);
  const b = s.read(1);
  const sum = s.add(a, b);
  const result = s.keep(s.zeroExtend(carryIn ? s.add(sum, carryIn) : sum, s.size));
  s.write(0, result);
  s.flags.addition(a, b, result, s.size, carryIn);
}

function subtraction(s: Semantics, store: boolean, borrowIn?: Value): void {
  const a = store ? s.readForWrite(0) : s.read(0);
  const b = s.read(1);
  const difference = s.sub(a, b);
  const result = s.keep(s.zeroExtend(borrowIn ? s.sub(difference, borrowIn) : difference, s.size));
  if (store) s.write(0, result);
  s.flags.subtraction(a, b, result, s.size, borrowIn);
}

function logic(s: Semantics, operation: 'and' | 'or' | 'xor', store: boolean): void {
  const a = store ? s.readForWrite(0) : s.read(0);
  const result = s.keep(s[operation](a, s.zeroExtend(s.read(1), s.size)));
  if (store) s.write(0, result);
  s.flags.logic(result, s.size);
}

function step(s: Semantics, decrement: boolean): void {
  const a = s.readForWrite(0);
  const one = s.constant(1);
  const result = s.keep(s.zeroExtend(decrement ? s.sub(a, one) : s.add(a, one), s.size));
  s.write(0, result);
  s.flags.increment(a, result, s.size, decrement);
}

export const arithmetic: readonly InstructionDefinition[] = [
  {
    mnemonic: 'ADD',
    summary: 'Add',
    forms: aluForms(0),
    flags: 'w:OSZAPC',
    lock: true,
    frequent: true,
    semantics: (s) => addition(s),
  },
  {
    mnemonic: 'OR',
    summary: 'Logical inclusive or',
    frequent: true,
    forms: aluForms(1),
    flags: 'w:OSZPC u:A',
    lock: true,
    semantics: (s) => logic(s, 'or', true),
  },
  {
    mnemonic: 'ADC',
    summary: 'Add with carry',
    forms: aluForms(2),
    flags: 'w:OSZAPC r:C',
    lock: true,
    semantics: (s) => addition(s, s.keep(s.flags.carry())),
  },
  {
    mnemonic: 'SBB',
    summary: 'Subtract with borrow',
    forms: aluForms(3),
    flags: 'w:OSZAPC r:C',
    lock: true,
    semantics: (s) => subtraction(s, true, s.keep(s.flags.carry())),
  },
  {
    mnemonic: 'AND',
    summary: 'Logical and',
    frequent: true,
    forms: aluForms(4),
    flags: 'w:OSZPC u:A',
    lock: true,
    semantics: (s) => logic(s, 'and', true),
  },
  {
    mnemonic: 'SUB',
    summary: 'Subtract',
    frequent: true,
    forms: aluForms(5),
    flags: 'w:OSZAPC',
    lock: true,
    semantics: (s) => subtraction(s, true),
  },
  {
    mnemonic: 'XOR',
    summary: 'Logical exclusive or',
    frequent: true,
    forms: aluForms(6),
    flags: 'w:OSZPC u:A',
    lock: true,
    semantics: (s) => logic(s, 'xor', true),
  },
  {
    mnemonic: 'CMP',
    summary: 'Compare two operands',
    frequent: true,
    forms: aluForms(7),
    flags: 'w:OSZAPC',
    semantics: (s) => subtraction(s, false),
  },
  {
    mnemonic: 'TEST',
    summary: 'Logical compare',
    frequent: true,
    forms: ['84 Eb,Gb', '85 Ev,Gv', 'A8 Ab,Ib', 'A9 Av,Iz', 'F6/0 Eb,Ib', 'F6/1 Eb,Ib', 'F7/0 Ev,Iz', 'F7/1 Ev,Iz'],
    flags: 'w:OSZPC u:A',
    semantics: (s) => logic(s, 'and', false),
  },
  {
    mnemonic: 'INC',
    summary: 'Increment by 1',
    frequent: true,
    forms: ['FE/0 Eb', 'FF/0 Ev', '40+ Zv i64'],
    flags: 'w:OSZAP',
    lock: true,
    semantics: (s) => step(s, false),
  },
  {
    mnemonic: 'DEC',
    summary: 'Decrement by 1',
    frequent: true,
    forms: ['FE/1 Eb', 'FF/1 Ev', '48+ Zv i64'],
    flags: 'w:OSZAP',
    lock: true,
    semantics: (s) => step(s, true),
  },
  {
    mnemonic: 'NOT',
    summary: "One's complement negation",
    forms: ['F6/2 Eb', 'F7/2 Ev'],
    lock: true,
    semantics: (s) => s.write(0, s.not(s.readForWrite(0))),
  },
  {
    mnemonic: 'NEG',
    summary: "Two's complement negation",
    forms: ['F6/3 Eb', 'F7/3 Ev'],
    flags: 'w:OSZAPC',
    lock: true,
    semantics: (s) => {
      const b = s.readForWrite(0);
      const zero = s.constant(0);
      const result = s.keep(s.zeroExtend(s.sub(zero, b), s.size));
      s.write(0, result);
      s.flags.subtraction(zero, b, result, s.size);
    },
  },
  {
    mnemonic: 'XADD',
    summary: 'Exchange and add',
    forms: ['0F C0 Eb,Gb', '0F C1 Ev,Gv'],
    flags: 'w:OSZAPC',
    lock: true,
    semantics: (s) => {
      const a = s.readForWrite(0);
      const b = s.read(1);
      const result = s.keep(s.zeroExtend(s.add(a, b), s.size));
      if (s.isMemory(0)) {
        s.write(0, result);
        s.write(1, a);
      } else {
        s.write(1, a);
        s.write(0, result);
      }
      s.flags.addition(a, b, result, s.size);
    },
  },
  {
    mnemonic: 'CMPXCHG',
    summary: 'Compare and exchange',
    forms: ['0F B0 Eb,Gb', '0F B1 Ev,Gv'],
    flags: 'w:OSZAPC',
    lock: true,
    semantics: (s) => {
      const old = s.readForWrite(0);
      const accumulator = s.keep(s.register(0, s.size));
      const result = s.keep(s.zeroExtend(s.sub(accumulator, old), s.size));
      const source = s.read(1);
      const same = s.keep(s.isZero(result));
      // The destination is always written: with its old value when the comparison fails.
      if (s.isMemory(0)) s.write(0, s.select(same, source, old));
      else s.when(same, () => s.write(0, source));
      s.when(s.isZero(same), () => s.setRegister(0, s.size, old));
      s.flags.subtraction(accumulator, old, result, s.size);
    },
  },
];
