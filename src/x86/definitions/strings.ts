import type { OperandSize } from '../instruction.ts';
import type { InstructionDefinition } from '../notation.ts';
import type { Semantics, StringRun, Value } from '../semantics.ts';

const RAX = 0;
const RCX = 1;
const RSI = 6;
const RDI = 7;
const ES = 0;
const DF = 10;

const index = (s: Semantics, register: number): Value => s.keep(s.register(register, s.addressSize));

/** Moves an index register by one element, down when DF is set. */
function advance(s: Semantics, register: number, at: Value): void {
  const bytes = s.size / 8;
  const step = s.sub(s.constant(bytes), s.mul(s.systemFlag(DF), s.constant(2 * bytes)));
  s.setRegister(register, s.addressSize as OperandSize, s.add(at, step));
}

/**
 * One pass of a string instruction under its REP prefix. `run` says what many passes are; `pass` returns a condition that must hold
 * to go on, if it has one.
 */
function repeated(s: Semantics, run: StringRun | undefined, pass: () => Value | undefined): void {
  if (s.rep === 'none') {
    pass();
    return;
  }
  const count = s.keep(s.register(RCX, s.addressSize));
  s.when(count, () => {
    if (run) s.runPasses(run, count);
    const more = pass();
    const left = s.keep(s.zeroExtend(s.sub(count, s.constant(1)), s.addressSize));
    s.setRegister(RCX, s.addressSize as OperandSize, left);
    const again = s.isZero(s.isZero(left));
    s.repeatWhile(more ? s.and(again, more) : again);
  });
}

/** REPE goes on while equal, REPNE while unequal. */
const whileFlag = (s: Semantics): Value => (s.rep === 'rep' ? s.flags.zero() : s.isZero(s.flags.zero()));

function compare(s: Semantics, a: Value, b: Value): void {
  const result = s.keep(s.zeroExtend(s.sub(a, b), s.size));
  s.flags.subtraction(a, b, result, s.size);
}

const varies = ['address', 'rep'] as const;

export const strings: readonly InstructionDefinition[] = [
  {
    mnemonic: 'MOVS',
    summary: 'Move string element from DS:rSI to ES:rDI',
    forms: ['A4 Ab', 'A5 Av'],
    varies,
    semantics: (s) =>
      repeated(s, 'move', () => {
        const source = index(s, RSI);
        const destination = index(s, RDI);
        const value = s.load('operand', source, s.size);
        s.store(ES, destination, s.size, value);
        advance(s, RSI, source);
        advance(s, RDI, destination);
        return undefined;
      }),
  },
  {
    mnemonic: 'STOS',
    summary: 'Store the accumulator at ES:rDI',
    forms: ['AA Ab', 'AB Av'],
    varies,
    semantics: (s) =>
      repeated(s, 'store', () => {
        const destination = index(s, RDI);
        s.store(ES, destination, s.size, s.register(RAX, s.size));
        advance(s, RDI, destination);
        return undefined;
      }),
  },
  {
    mnemonic: 'LODS',
    summary: 'Load the accumulator from DS:rSI',
    forms: ['AC Ab', 'AD Av'],
    varies,
    semantics: (s) =>
      repeated(s, undefined, () => {
        const source = index(s, RSI);
        s.setRegister(RAX, s.size, s.load('operand', source, s.size));
        advance(s, RSI, source);
        return undefined;
      }),
  },
  {
    mnemonic: 'CMPS',
    summary: 'Compare string elements at DS:rSI and ES:rDI',
    forms: ['A6 Ab', 'A7 Av'],
    flags: 'w:OSZAPC',
    varies,
    semantics: (s) =>
      repeated(s, 'compare', () => {
        const source = index(s, RSI);
        const destination = index(s, RDI);
        // AMD's processors read the destination first: it decides which page faults.
        const b = s.load(ES, destination, s.size);
        const a = s.load('operand', source, s.size);
        compare(s, a, b);
        advance(s, RSI, source);
        advance(s, RDI, destination);
        return s.rep === 'none' ? undefined : s.keep(whileFlag(s));
      }),
  },
  {
    mnemonic: 'SCAS',
    summary: 'Compare the accumulator with the element at ES:rDI',
    forms: ['AE Ab', 'AF Av'],
    flags: 'w:OSZAPC',
    varies,
    semantics: (s) =>
      repeated(s, 'scan', () => {
        const destination = index(s, RDI);
        const b = s.load(ES, destination, s.size);
        compare(s, s.keep(s.register(RAX, s.size)), b);
        advance(s, RDI, destination);
        return s.rep === 'none' ? undefined : s.keep(whileFlag(s));
      }),
  },
];
