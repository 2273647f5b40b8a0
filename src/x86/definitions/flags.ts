import type { InstructionDefinition } from '../notation.ts';

const RAX = 0;
const DF = 10;

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
