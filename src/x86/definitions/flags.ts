import type { InstructionDefinition } from '../notation.ts';
import type { Semantics, Value } from '../semantics.ts';

const RAX = 0;
const DF = 10;
const IF = 9;
const AC = 18;
const VM = 17;
const GENERAL_PROTECTION = 13;
const UNDEFINED = 6;

/** Bits of EFLAGS. */
const bits = (...numbers: readonly number[]): number => numbers.reduce((mask, bit) => mask | (1 << bit), 0);
const TF_AC = bits(8, AC);
const RF_VM = bits(16, VM);
/** TF, DF and NT; with wider operands also AC and ID. */
const ALWAYS_WRITABLE = bits(8, DF, 14);
const WIDE_WRITABLE = bits(AC, 21);
const IOPL = 3 << 12;

const ioplOf = (s: Semantics, flags: Value): Value => s.and(s.shr(flags, s.constant(12)), s.constant(3));
const bitOf = (s: Semantics, flags: Value, bit: number): Value => s.and(s.shr(flags, s.constant(bit)), s.constant(1));

/** PUSHF and POPF in virtual-8086 mode need IOPL 3. */
function requireVirtualIopl(s: Semantics, flags: Value): void {
  if (s.stackWidth === 64) return;
  const refused = s.and(bitOf(s, flags, VM), s.lessU(ioplOf(s, flags), s.constant(3)));
  s.when(refused, () => s.raise(GENERAL_PROTECTION));
}

/** CLI and STI need a privilege that IOPL allows. */
function requireIopl(s: Semantics, flags: Value): void {
  s.when(s.lessU(ioplOf(s, flags), s.privilege()), () => s.raise(GENERAL_PROTECTION));
}

/** The bits of EFLAGS outside the arithmetic ones that POPF may write (Intel SDM vol. 2B, POPF). */
function writableFlags(s: Semantics, flags: Value): Value {
  const level = s.keep(s.privilege());
  const always = s.constant(ALWAYS_WRITABLE | (s.size === 16 ? 0 : WIDE_WRITABLE));
  const interrupt = s.select(s.lessU(ioplOf(s, flags), level), s.constant(0), s.constant(1 << IF));
  return s.or(s.or(always, interrupt), s.select(level, s.constant(0), s.constant(IOPL)));
}

const setAlignmentFlag = (on: 0 | 1) => (s: Semantics) => {
  s.when(s.privilege(), () => s.raise(UNDEFINED));
  s.setSystemFlag(AC, s.constant(on));
};

export const flags: readonly InstructionDefinition[] = [
  {
    mnemonic: 'CMC',
    summary: 'Complement carry',
    forms: ['F5 Ab'],
    flags: 'w:C r:C',
    semantics: (s) => s.flags.setCarry(s.isZero(s.flags.carry())),
  },
  { mnemonic: 'CLC', summary: 'Clear carry', forms: ['F8 Ab'], flags: 'w:C', semantics: (s) => s.flags.setCarry(s.constant(0)) },
  { mnemonic: 'STC', summary: 'Set carry', forms: ['F9 Ab'], flags: 'w:C', semantics: (s) => s.flags.setCarry(s.constant(1)) },
  {
    mnemonic: 'CLD',
    summary: 'Clear the direction flag',
    forms: ['FC Ab'],
    semantics: (s) => s.setSystemFlag(DF, s.constant(0)),
  },
  { mnemonic: 'STD', summary: 'Set the direction flag', forms: ['FD Ab'], semantics: (s) => s.setSystemFlag(DF, s.constant(1)) },
  {
    mnemonic: 'CLI',
    summary: 'Clear the interrupt flag',
    forms: ['FA Ab'],
    semantics: (s) => {
      requireIopl(s, s.systemFlags());
      s.setSystemFlag(IF, s.constant(0));
    },
  },
  {
    mnemonic: 'STI',
    summary: 'Set the interrupt flag',
    forms: ['FB Ab'],
    semantics: (s) => {
      const flags = s.keep(s.systemFlags());
      requireIopl(s, flags);
      const wasClear = s.keep(s.isZero(bitOf(s, flags, IF)));
      s.eventsFollow(wasClear);
      s.when(wasClear, () => {
        s.setSystemFlag(IF, s.constant(1));
        s.castInterruptShadow();
      });
    },
  },
  {
    mnemonic: 'PUSHF',
    summary: 'Push the flags',
    forms: ['9C Av d64'],
    varies: ['stack'],
    flags: 'r:OSZAPC',
    semantics: (s) => {
      const system = s.keep(s.systemFlags());
      requireVirtualIopl(s, system);
      const arithmetic = s.or(s.flags.low(), s.shl(s.flags.overflow(), s.constant(11)));
      s.push(s.or(s.and(system, s.constant(~RF_VM)), arithmetic), s.size);
    },
  },
  {
    mnemonic: 'POPF',
    summary: 'Pop the flags',
    forms: ['9D Av d64'],
    varies: ['stack'],
    flags: 'w:OSZAPC',
    semantics: (s) => {
      const old = s.keep(s.systemFlags());
      requireVirtualIopl(s, old);
      const value = s.keep(s.pop(s.size));
      const writable = s.keep(writableFlags(s, old));
      const next = s.keep(s.or(s.and(old, s.not(writable)), s.and(value, writable)));
      const changed = s.xor(old, next);
      const letIn = s.and(s.interruptsWait(), bitOf(s, s.and(changed, next), IF));
      s.eventsFollow(s.or(s.and(changed, s.constant(TF_AC)), letIn));
      s.commitPop(s.size);
      s.setSystemFlags(next);
      s.flags.setLow(value);
      s.flags.set({ overflow: bitOf(s, value, 11) });
    },
  },
  {
    mnemonic: 'CLAC',
    summary: 'Clear EFLAGS.AC',
    forms: ['0F 01 =CA'],
    privileged: true,
    feature: 'smap',
    semantics: setAlignmentFlag(0),
  },
  {
    mnemonic: 'STAC',
    summary: 'Set EFLAGS.AC',
    forms: ['0F 01 =CB'],
    privileged: true,
    feature: 'smap',
    semantics: setAlignmentFlag(1),
  },
  {
    mnemonic: 'LAHF',
    summary: 'Load AH from the flags',
    forms: ['9F Ab'],
    longFeature: 'lahf',
    flags: 'r:SZAPC',
    semantics: (s) => s.setHigh(RAX, s.flags.low()),
  },
  {
    mnemonic: 'SAHF',
    summary: 'Store AH into the flags',
    forms: ['9E Ab'],
    longFeature: 'lahf',
    flags: 'w:SZAPC',
    semantics: (s) => {
      const overflow = s.keep(s.flags.overflow());
      s.flags.setLow(s.high(RAX));
      s.flags.set({ overflow });
    },
  },
];
