import { forms } from '../../src/processor/interpreter/handler-table.ts';
import type { Form } from '../../src/x86/notation.ts';
import type { Random } from '../support/random.ts';

const OPCODES_WITH_MODRM = [
  ...[0x00, 0x01, 0x02, 0x03, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x39, 0x3b, 0x62, 0x63, 0x69, 0x6b, 0x80, 0x81, 0x83],
  ...[0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0xc0, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xd0, 0xd1],
  ...[0xd2, 0xd3, 0xd8, 0xdd, 0xf6, 0xf7, 0xfe, 0xff],
];
const PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x48, 0x41, 0x4f];

/** Bytes that decode as instructions more often than chance has it. */
export function plausibleCode(random: Random, length: number): Uint8Array {
  const bytes: number[] = [];
  while (bytes.length < length) {
    for (let i = random.chance(0.4) ? random.between(1, 3) : 0; i > 0; i--) bytes.push(random.pick(PREFIXES));
    const kind = random.below(10);
    if (kind < 5) bytes.push(random.pick(OPCODES_WITH_MODRM), random.below(256));
    else if (kind < 7) bytes.push(random.below(256));
    else if (kind < 9) bytes.push(0x0f, random.below(256), random.below(256));
    // String instructions, stack, far transfers, interrupts, flags, I/O.
    else
      bytes.push(
        random.pick([
          0xa4, 0xa5, 0xa6, 0xaa, 0xab, 0xac, 0xae, 0x6c, 0x6e, 0x9c, 0x9d, 0xcf, 0xcb, 0xcc, 0xe4, 0xec, 0xee, 0xfa, 0xfb,
        ]),
      );
    // Displacements and immediates, mostly small, so that accesses and branches stay near.
    for (let i = random.below(5); i > 0; i--)
      bytes.push(random.chance(0.6) ? random.pick([0, 0xff, 0x10, 0x80]) : random.below(256));
  }
  return Uint8Array.from(bytes.slice(0, length));
}

const ESCAPES: readonly (readonly number[])[] = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];

/** Bytes of ModRM, SIB and displacement: any register, or an address that is mostly a small displacement to a register. */
function modrmBytes(random: Random, form: Form): number[] {
  if (form.modrmByte !== undefined) return [form.modrmByte];
  const reg = form.digit ?? random.below(8);
  const rm = random.below(8);
  const register = /[RUN]/.test(form.places) || (!form.places.includes('M') && random.chance(0.5));
  const mod = register ? 3 : random.below(3);
  const bytes = [(mod << 6) | (reg << 3) | rm];
  // Also where the address size makes no SIB of it, a byte more does no harm.
  if (mod !== 3 && rm === 4) bytes.push(random.below(256));
  if (mod === 1) bytes.push(random.pick([0, 4, 0x7f, 0x80]));
  if (mod === 2 || (mod === 0 && rm === 5)) bytes.push(random.below(256), random.below(2), 0, 0);
  return bytes;
}

/** A bit of a VEX prefix as a form wants it, or any. */
function wideBit(random: Random, wanted: number | undefined, bit: number): number {
  return (wanted ?? random.below(2)) === 1 ? bit : 0;
}

function immediateBytes(random: Random, form: Form): number[] {
  return form.operands.flatMap(({ place, width }) => {
    if (!'IJO'.includes(place)) return [];
    const length = width === 'b' || width === 's' ? 1 : width === 'w' ? 2 : 4;
    // Branches stay near.
    const high = place === 'J' && random.chance(0.9) ? random.pick([0, 0xff]) : random.below(256);
    const low = place === 'J' && high === 0xff ? 0x80 | random.below(128) : random.below(place === 'J' ? 96 : 256);
    return [low, ...Array.from({ length: length - 1 }, () => high)];
  });
}

const generalForms = forms.filter(({ definition }) => definition.registers === undefined);
const vectorForms = forms.filter(({ definition }) => definition.registers !== undefined);

/** Code made of the forms of the definitions, half of them of vector instructions in some streams, with random operands and prefixes. */
export function formCode(random: Random, length: number, long: boolean): Uint8Array {
  const bytes: number[] = [];
  const vectors = random.chance(0.5);
  while (bytes.length < length) {
    const form = random.pick(vectors && random.chance(0.5) ? vectorForms : generalForms);
    if (long ? form.not64 : form.only64) continue;
    if (random.chance(0.15)) bytes.push(random.pick([0x66, 0x67, 0x2e, 0x36, 0x64, 0xf0, 0xf2, 0xf3]));
    if (form.vex) {
      const pp = { 0: 0, 102: 1, 243: 2, 242: 3 }[form.prefix];
      // Ones where no register is named.
      const vvvv = /[BH]/.test(form.places) ? random.below(16) << 3 : 0x78;
      bytes.push(0xc4, 0xe0 | form.map, wideBit(random, form.vexW, 0x80) | vvvv | wideBit(random, form.vexL, 4) | pp);
    } else {
      if (form.prefix !== 0) bytes.push(form.prefix);
      if (long && random.chance(0.4)) bytes.push(0x40 | random.below(16));
      bytes.push(...(ESCAPES[form.map] ?? []));
    }
    bytes.push(form.opcode + (form.plusRegister ? random.below(8) : 0));
    if (form.hasModrm) bytes.push(...modrmBytes(random, form));
    bytes.push(...immediateBytes(random, form));
  }
  return Uint8Array.from(bytes.slice(0, length));
}
