import type { InstructionDefinition } from '../notation.ts';
import type { Semantics } from '../semantics.ts';

/**
 * Decimal adjustment, not in 64-bit mode. Undefined flags as AMD's processors leave them (docs/undefined-flags.md).
 */

const RAX = 0;
const DIVIDE_ERROR = 0;

/** DAA and DAS: the flags but CF and AF are those of the 8-bit addition (subtraction) of the correction. */
function decimalAdjust(s: Semantics, subtract: boolean): void {
  const al = s.keep(s.register(RAX, 8));
  const adjust = s.keep(s.or(s.flags.adjust(), s.lessU(s.constant(9), s.and(al, s.constant(15)))));
  const high = s.keep(s.or(s.flags.carry(), s.lessU(s.constant(0x99), al)));
  const correction = s.keep(s.add(s.mul(adjust, s.constant(6)), s.mul(high, s.constant(0x60))));
  const result = s.keep(s.zeroExtend(subtract ? s.sub(al, correction) : s.add(al, correction), 8));
  // DAS also borrows when the low correction alone goes below zero.
  const carry = s.keep(subtract ? s.or(high, s.and(adjust, s.lessU(al, s.constant(6)))) : high);
  s.setRegister(RAX, 8, result);
  if (subtract) s.flags.subtraction(al, correction, result, 8);
  else s.flags.addition(al, correction, result, 8);
  s.flags.set({ carry, adjust });
}

/** AAA and AAS. */
function asciiAdjust(s: Semantics, subtract: boolean): void {
  const ax = s.keep(s.register(RAX, 16));
  const adjust = s.keep(s.or(s.flags.adjust(), s.lessU(s.constant(9), s.and(ax, s.constant(15)))));
  const correction = s.keep(s.mul(adjust, s.constant(0x106)));
  const sum = s.keep(s.zeroExtend(subtract ? s.sub(ax, correction) : s.add(ax, correction), 16));
  s.setRegister(RAX, 16, s.and(sum, s.constant(0xff0f)));
  if (subtract) s.flags.subtraction(ax, correction, sum, 16);
  else s.flags.addition(ax, correction, sum, 16);
  s.flags.set({ carry: adjust, adjust });
}

export const decimal: readonly InstructionDefinition[] = [
  {
    mnemonic: 'DAA',
    summary: 'Decimal adjust AL after addition',
    forms: ['27 Ab i64'],
    flags: 'w:SZAPC r:AC u:O',
    semantics: (s) => decimalAdjust(s, false),
  },
  {
    mnemonic: 'DAS',
    summary: 'Decimal adjust AL after subtraction',
    forms: ['2F Ab i64'],
    flags: 'w:SZAPC r:AC u:O',
    semantics: (s) => decimalAdjust(s, true),
  },
  {
    mnemonic: 'AAA',
    summary: 'ASCII adjust after addition',
    forms: ['37 Ab i64'],
    flags: 'w:AC r:A u:OSZP',
    semantics: (s) => asciiAdjust(s, false),
  },
  {
    mnemonic: 'AAS',
    summary: 'ASCII adjust after subtraction',
    forms: ['3F Ab i64'],
    flags: 'w:AC r:A u:OSZP',
    semantics: (s) => asciiAdjust(s, true),
  },
  {
    mnemonic: 'AAM',
    summary: 'ASCII adjust after multiplication',
    forms: ['D4 Ib i64'],
    flags: 'w:SZP u:OAC',
    semantics: (s) => {
      const base = s.keep(s.zeroExtend(s.read(0), 8));
      s.when(s.isZero(base), () => s.raise(DIVIDE_ERROR));
      const al = s.keep(s.register(RAX, 8));
      const low = s.keep(s.remU(al, base));
      s.setRegister(RAX, 16, s.or(s.shl(s.divU(al, base), s.constant(8)), low));
      s.flags.logic(low, 8);
    },
  },
  {
    mnemonic: 'AAD',
    summary: 'ASCII adjust before division',
    forms: ['D5 Ib i64'],
    flags: 'w:SZP u:OAC',
    semantics: (s) => {
      const al = s.keep(s.register(RAX, 8));
      const product = s.keep(s.zeroExtend(s.mul(s.high(RAX), s.zeroExtend(s.read(0), 8)), 8));
      const result = s.keep(s.zeroExtend(s.add(al, product), 8));
      s.setRegister(RAX, 16, result);
      s.flags.addition(al, product, result, 8);
    },
  },
  {
    mnemonic: 'SALC',
    summary: 'Set AL to FF if CF is set, else to 0',
    forms: ['D6 Ab i64'],
    flags: 'r:C',
    semantics: (s) => s.setRegister(RAX, 8, s.sub(s.constant(0), s.flags.carry())),
  },
];
