import type { Processor } from '../../processor/processor.ts';
import { bitLength } from '../../processor/softfloat/bit-length.ts';
import { defaultNan, EXTENDED80, infinity, zero } from '../../processor/softfloat/format.ts';
import { roundToFormat } from '../../processor/softfloat/rounding.ts';
import * as L from '../../processor/state/layout.ts';
import { fullTags, shortTags } from '../../processor/x87/state-image.ts';
import { CONTROL_MASK, CONTROL_ONES, Status, TOP_SHIFT, withSummary } from '../../processor/x87/words.ts';
import { formatFloat } from '../../symbols/values/float.ts';
import type { NamedRegister } from './registers.ts';

/** The registers of the x87 unit by the names that gdb gives them. */

const EXCEPTIONS = ['IE', 'DE', 'ZE', 'OE', 'UE', 'PE'];
const ROUNDINGS = ['to nearest', 'down', 'up', 'to zero'];
const PRECISIONS = ['24 bits', 'reserved precision', '53 bits', '64 bits'];
const CONDITIONS: readonly (readonly [number, string])[] = [
  [Status.SF, 'SF'],
  [Status.ES, 'ES'],
  [Status.C0, 'C0'],
  [Status.C1, 'C1'],
  [Status.C2, 'C2'],
  [Status.C3, 'C3'],
];

function physical({ state }: Processor, index: number): number {
  return ((state.get32(L.X87_STATUS) >> TOP_SHIFT) + index) & 7;
}

/** Digits of a decimal number as a double extended value, rounded to nearest. */
function fromDecimalText(text: string): bigint | undefined {
  const [, sign, whole = '', fraction = '', power = '0'] =
    /^([-+]?)(?=\.?\d)(\d*)\.?(\d*)(?:e([-+]?\d{1,5}))?$/i.exec(text) ?? [];
  if (sign === undefined) return undefined;
  const negative = sign === '-';
  const digits = BigInt(whole + fraction);
  if (digits === 0n) return zero(EXTENDED80, negative);
  const scale = Number(power) - fraction.length;
  const numerator = scale > 0 ? digits * 10n ** BigInt(scale) : digits;
  const denominator = scale < 0 ? 10n ** BigInt(-scale) : 1n;
  const shift = Math.max(0, 80 + bitLength(denominator) - bitLength(numerator));
  const quotient = (numerator << BigInt(shift)) / denominator;
  const sticky = quotient * denominator !== numerator << BigInt(shift);
  const environment = { rounding: 0, masks: 0x3f, daz: false, ftz: false, nanRule: 'larger-significand', flags: 0 } as const;
  return roundToFormat({ ...environment }, EXTENDED80, negative, -shift, quotient, sticky);
}

/** A double extended value from a decimal number, `inf` or `nan`. Undefined for other texts. */
function parseExtended(text: string): bigint | undefined {
  const word = /^([-+]?)(inf|nan)$/i.exec(text.trim());
  if (word?.[2]?.toLowerCase() === 'inf') return infinity(EXTENDED80, word[1] === '-');
  if (word) return defaultNan(EXTENDED80);
  return fromDecimalText(text.trim());
}

/** ST(index), raw; what it means is its note. */
function stackRegister(processor: Processor, name: string, index: number): NamedRegister {
  const { state } = processor;
  const place = () => L.X87_REGISTERS + physical(processor, index) * L.X87_REGISTER_SIZE;
  return {
    name,
    bits: 80,
    get: () => state.get64(place()) | (BigInt(state.get32(place() + 8) & 0xffff) << 64n),
    set: (value) => {
      state.set64(place(), BigInt.asUintN(64, value));
      state.set64(place() + 8, value >> 64n);
      state.set32(L.X87_TAGS, state.get32(L.X87_TAGS) | (1 << physical(processor, index)));
    },
    note: () => {
      if ((state.get32(L.X87_TAGS) & (1 << physical(processor, index))) === 0) return 'empty';
      return formatFloat(new Uint8Array(state.buffer, state.base + place(), 10));
    },
    parse: parseExtended,
  };
}

/** MM0–MM7: the significands of the registers by their physical numbers. */
function mmxRegister({ state }: Processor, name: string, index: number): NamedRegister {
  const at = L.X87_REGISTERS + index * L.X87_REGISTER_SIZE;
  return { name, bits: 64, get: () => state.get64(at), set: (value) => state.set64(at, value) };
}

/** Rounding, masks and exceptions raised, as x87's words and MXCSR have them. */
export function describeControls(controls: { rounding: number; masks: number; flags?: number }): string {
  const { rounding, masks, flags = 0 } = controls;
  const named = (bits: number) => EXCEPTIONS.filter((_, bit) => (bits & (1 << bit)) !== 0).join(' ');
  const unmasked = named(~masks);
  const parts = [`rounded ${ROUNDINGS[rounding]}`, unmasked === '' ? 'all exceptions masked' : `${unmasked} not masked`];
  return [...parts, ...(flags === 0 ? [] : [`${named(flags)} raised`])].join(', ');
}

/** What a control word asks for. */
function describeControlWord(control: number): string {
  return `${PRECISIONS[(control >> 8) & 3]}, ${describeControls({ rounding: (control >> 10) & 3, masks: control & 0x3f })}`;
}

/** The top of the stack, and the bits of a status word that are set. */
function describeStatusWord(status: number): string {
  const set = [
    ...EXCEPTIONS.filter((_, bit) => (status & (1 << bit)) !== 0),
    ...CONDITIONS.filter(([bit]) => (status & bit) !== 0).map(([, name]) => name),
  ];
  return [`TOP ${(status >> TOP_SHIFT) & 7}`, ...set].join(' ');
}

/** Which registers a full tag word has in use. */
function describeTagWord(tags: number): string {
  const used = Array.from({ length: 8 }, (_, register) => register).filter((register) => shortTags(tags) & (1 << register));
  return used.length === 0 ? 'all empty' : `in use: ${used.map((register) => `R${register}`).join(' ')}`;
}

/** Control, status and tag word, and where the last instruction and its operand were. */
function controlRegister({ state }: Processor, name: string): NamedRegister | undefined {
  const get = (offset: number) => () => BigInt(state.get32(offset));
  const plain = (offset: number, bits: number): NamedRegister => ({
    name,
    bits,
    get: get(offset),
    set: (value) => state.set32(offset, Number(value)),
  });
  switch (name) {
    case 'fctrl':
      return {
        name,
        bits: 16,
        get: get(L.X87_CONTROL),
        set: (value) => {
          const control = (Number(value) & CONTROL_MASK) | CONTROL_ONES;
          state.set32(L.X87_CONTROL, control);
          state.set32(L.X87_STATUS, withSummary(state.get32(L.X87_STATUS), control));
        },
        note: () => describeControlWord(state.get32(L.X87_CONTROL)),
      };
    case 'fstat':
      return {
        name,
        bits: 16,
        get: get(L.X87_STATUS),
        set: (value) => state.set32(L.X87_STATUS, withSummary(Number(value), state.get32(L.X87_CONTROL))),
        note: () => describeStatusWord(state.get32(L.X87_STATUS)),
      };
    case 'ftag':
      return {
        name,
        bits: 16,
        get: () => BigInt(fullTags(state)),
        set: (value) => state.set32(L.X87_TAGS, shortTags(Number(value))),
        note: () => describeTagWord(fullTags(state)),
      };
    case 'fop':
      return plain(L.X87_OPCODE, 11);
    case 'fiseg':
      return plain(L.X87_CS, 16);
    case 'foseg':
      return plain(L.X87_DS, 16);
    case 'fioff':
    case 'fooff': {
      const offset = name === 'fioff' ? L.X87_IP : L.X87_DP;
      return { name, bits: 64, get: () => state.get64(offset), set: (value) => state.set64(offset, value) };
    }
    default:
      return undefined;
  }
}

/** Names of what {@link fpuRegister} finds, but for the MMX registers. */
export const FPU_REGISTERS: readonly string[] = [
  ...Array.from({ length: 8 }, (_, index) => `st${index}`),
  ...['fctrl', 'fstat', 'ftag', 'fop', 'fiseg', 'fioff', 'foseg', 'fooff'],
];

/** A register of the x87 unit by its name in lower case. */
export function fpuRegister(processor: Processor, name: string): NamedRegister | undefined {
  const [, kind, number = '0'] = /^(st|mm)\(?([0-7])\)?$/.exec(name) ?? [];
  if (kind === 'st') return stackRegister(processor, name, Number(number));
  if (kind === 'mm') return mmxRegister(processor, name, Number(number));
  return controlRegister(processor, name);
}
