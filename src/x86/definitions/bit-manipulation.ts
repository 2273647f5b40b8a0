import type { InstructionDefinition } from '../notation.ts';
import type { Semantics, Value } from '../semantics.ts';
import { highProduct } from './multiply-divide.ts';

const RDX = 2;

/** CF as given and OF clear; AMD's processors clear AF and set PF by the result. */
function setFlags(s: Semantics, result: Value, carry: Value): void {
  s.flags.set({ carry, overflow: s.constant(0), adjust: s.constant(0), result, size: s.size });
}

/** The lowest `count` bits set; `count` is at most 64. */
const lowBits = (s: Semantics, count: Value): Value =>
  s.select(s.lessU(count, s.constant(64)), s.sub(s.shl(s.constant(1), count), s.constant(1)), s.constant(-1));

/** BLSR, BLSMSK, BLSI: `combine` makes the result of the source and of the source minus 1. */
function lowestBit(mnemonic: string, digit: number, summary: string, carryIfZero: boolean): InstructionDefinition {
  return {
    mnemonic,
    summary,
    forms: [`VEX 0F 38 F3/${digit} By,Ey`],
    flags: 'w:OSZC u:AP',
    feature: 'bmi1',
    semantics: (s) => {
      const source = s.read(1);
      const less = s.sub(source, s.constant(1));
      const combined =
        mnemonic === 'BLSR' ? s.and(source, less) : mnemonic === 'BLSMSK' ? s.xor(source, less) : s.and(source, s.not(less));
      const result = s.keep(s.zeroExtend(combined, s.size));
      const isZero = s.isZero(source);
      const carry = s.keep(carryIfZero ? isZero : s.isZero(isZero));
      s.write(0, result);
      setFlags(s, result, carry);
    },
  };
}

function extractField(s: Semantics): void {
  const source = s.read(1);
  const control = s.read(2);
  const start = s.keep(s.and(control, s.constant(0xff)));
  const length = s.keep(s.and(s.shr(control, s.constant(8)), s.constant(0xff)));
  const shifted = s.select(s.lessU(start, s.constant(s.size)), s.shr(source, start), s.constant(0));
  const result = s.keep(s.and(shifted, lowBits(s, length)));
  s.write(0, result);
  // AMD's processors: AF set, SF clear whatever the result, PF of the result. Bit 8 keeps ZF clear for others than 0.
  const nonZero = s.shl(s.isZero(s.isZero(result)), s.constant(8));
  s.flags.set({
    carry: s.constant(0),
    overflow: s.constant(0),
    adjust: s.constant(1),
    result: s.or(s.and(result, s.constant(0xff)), nonZero),
    size: 16,
  });
}

function zeroHighBits(s: Semantics): void {
  const source = s.read(1);
  const count = s.keep(s.and(s.read(2), s.constant(0xff)));
  const beyond = s.keep(s.isZero(s.lessU(count, s.constant(s.size))));
  const result = s.keep(s.select(beyond, source, s.and(source, lowBits(s, count))));
  s.write(0, result);
  setFlags(s, result, beyond);
}

/** PDEP spreads the low bits of the source over the mask's bits, PEXT gathers the source's bits at the mask's. */
function throughMask(s: Semantics, deposit: boolean): void {
  const source = s.variable(s.read(1));
  const mask = s.variable(s.read(2));
  const result = s.variable(s.constant(0));
  const place = s.variable(s.constant(1));
  const one = s.constant(1);
  s.repeat(() => {
    const lowest = s.keep(s.and(mask, s.sub(s.constant(0), mask)));
    if (deposit) {
      result.set(s.or(result, s.select(s.and(source, one), lowest, s.constant(0))));
      source.set(s.shr(source, one));
    } else {
      result.set(s.or(result, s.select(s.and(source, lowest), place, s.constant(0))));
      place.set(s.shl(place, one));
    }
    mask.set(s.xor(mask, lowest));
    return mask;
  });
  s.write(0, result);
}

/** SARX, SHLX, SHRX, RORX: no flags, the count wraps at the operand size. */
function shiftWithoutFlags(
  mnemonic: string,
  prefix: string,
  summary: string,
  shift: (s: Semantics, value: Value, count: Value) => Value,
): InstructionDefinition {
  return {
    mnemonic,
    summary,
    forms: [mnemonic === 'RORX' ? `VEX ${prefix} 0F 3A F0 Gy,Ey,Ib` : `VEX ${prefix} 0F 38 F7 Gy,Ey,By`],
    feature: 'bmi2',
    semantics: (s) => {
      const value = s.read(1);
      const count = s.keep(s.and(s.read(2), s.constant(s.size - 1)));
      s.write(0, shift(s, value, count));
    },
  };
}

/** ADCX and ADOX: addition that touches one flag only. */
function addWithFlag(mnemonic: string, prefix: string, flag: 'carry' | 'overflow'): InstructionDefinition {
  const letter = flag === 'carry' ? 'C' : 'O';
  return {
    mnemonic,
    summary: `Add with ${letter}F, change no other flag`,
    forms: [`${prefix} 0F 38 F6 Gy,Ey`],
    flags: `w:${letter} r:${letter}`,
    feature: 'adx',
    semantics: (s) => {
      const a = s.read(0);
      const b = s.read(1);
      const carryIn = s.keep(flag === 'carry' ? s.flags.carry() : s.flags.overflow());
      const result = s.keep(s.zeroExtend(s.add(s.add(a, b), carryIn), s.size));
      const carries = s.or(s.and(a, b), s.and(s.or(a, b), s.not(result)));
      const carryOut = s.keep(s.and(s.shr(carries, s.constant(s.size - 1)), s.constant(1)));
      s.write(0, result);
      s.flags.set(flag === 'carry' ? { carry: carryOut } : { overflow: carryOut });
    },
  };
}

/** BMI1 without TZCNT, BMI2 and ADX. */
export const bitManipulation: readonly InstructionDefinition[] = [
  {
    mnemonic: 'ANDN',
    summary: 'And with the complement of the first source',
    forms: ['VEX 0F 38 F2 Gy,By,Ey'],
    flags: 'w:OSZC u:AP',
    feature: 'bmi1',
    semantics: (s) => {
      const result = s.keep(s.and(s.not(s.read(1)), s.read(2)));
      s.write(0, result);
      setFlags(s, result, s.constant(0));
    },
  },
  {
    mnemonic: 'BEXTR',
    summary: 'Extract a bit field',
    forms: ['VEX 0F 38 F7 Gy,Ey,By'],
    flags: 'w:OZC u:SAP',
    feature: 'bmi1',
    semantics: extractField,
  },
  lowestBit('BLSR', 1, 'Clear the lowest set bit', true),
  lowestBit('BLSMSK', 2, 'Mask up to the lowest set bit', true),
  lowestBit('BLSI', 3, 'Keep the lowest set bit only', false),
  {
    mnemonic: 'BZHI',
    summary: 'Clear the bits from a position on',
    forms: ['VEX 0F 38 F5 Gy,Ey,By'],
    flags: 'w:OSZC u:AP',
    feature: 'bmi2',
    semantics: zeroHighBits,
  },
  {
    mnemonic: 'MULX',
    summary: 'Unsigned multiply by rDX without flags',
    forms: ['VEX F2 0F 38 F6 Gy,By,Ey'],
    feature: 'bmi2',
    semantics: (s) => {
      const a = s.keep(s.register(RDX, s.size));
      const b = s.read(2);
      const low = s.keep(s.mul(a, b));
      const high = s.size === 64 ? highProduct(s, a, b) : s.shr(low, s.constant(32));
      // Where both are one register, it is the high half that stays.
      s.write(1, low);
      s.write(0, high);
    },
  },
  {
    mnemonic: 'PDEP',
    summary: 'Deposit bits at the places of a mask',
    forms: ['VEX F2 0F 38 F5 Gy,By,Ey'],
    feature: 'bmi2',
    semantics: (s) => throughMask(s, true),
  },
  {
    mnemonic: 'PEXT',
    summary: 'Extract bits from the places of a mask',
    forms: ['VEX F3 0F 38 F5 Gy,By,Ey'],
    feature: 'bmi2',
    semantics: (s) => throughMask(s, false),
  },
  shiftWithoutFlags('SARX', 'F3', 'Shift right arithmetically without flags', (s, value, count) =>
    s.sar(s.signExtend(value, s.size), count),
  ),
  shiftWithoutFlags('SHLX', '66', 'Shift left without flags', (s, value, count) => s.shl(value, count)),
  shiftWithoutFlags('SHRX', 'F2', 'Shift right without flags', (s, value, count) => s.shr(value, count)),
  shiftWithoutFlags('RORX', 'F2', 'Rotate right without flags', (s, value, count) =>
    s.or(s.shr(value, count), s.select(count, s.shl(value, s.sub(s.constant(s.size), count)), s.constant(0))),
  ),
  addWithFlag('ADCX', '66', 'carry'),
  addWithFlag('ADOX', 'F3', 'overflow'),
];
