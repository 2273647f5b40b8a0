import type { Form } from '../../x86/notation.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { forms } from '../interpreter/handler-table.ts';
import type { CodeMode } from '../processor.ts';
import type { Prefixes, Vex } from './prefixes.ts';

/** How code is decoded: CS.D/L, SS.B, and what the processor model has. */
export interface DecodeMode {
  readonly mode: CodeMode;
  readonly stackWidth: 16 | 32 | 64;
  /** C4 and C5 can be VEX prefixes: not in real and virtual-8086 mode. */
  readonly vex: boolean;
  has(feature: string): boolean;
  /** Vectors of exceptions that instructions with these registers raise. */
  readonly unitFaults: UnitFaults;
}

/** What keeps instructions from using MMX, SSE and AVX registers: #UD or #NM, or nothing. */
export interface UnitFaults {
  readonly mmx: number | undefined;
  readonly sse: number | undefined;
  readonly avx: number | undefined;
  /** A number below 64 that tells these from others. */
  readonly key: number;
}

/** What shares an opcode. */
export interface OpcodeEntry {
  readonly forms: readonly Form[];
  readonly hasModrm: boolean;
  /** Any of 66, F2 and F3 makes another instruction, never a variant of the one without. */
  readonly strict: boolean;
  /** F2 and F3 do. */
  readonly strictRepeat: boolean;
}

/** By map and opcode; the maps of VEX come behind the four others. */
const entries: (OpcodeEntry | undefined)[] = [];
for (const form of forms)
  for (let add = 0; add < (form.plusRegister ? 8 : 1); add++) {
    const key = keyOf(form.vex, form.map, form.opcode + add);
    const together = [...(entries[key]?.forms ?? []), form];
    entries[key] = {
      forms: together,
      hasModrm: together.some(({ hasModrm }) => hasModrm),
      // Group 15 is 0F AE.
      strict: form.vex || (form.map === 1 && form.opcode === 0xae),
      strictRepeat: form.map === 2,
    };
  }

function keyOf(vex: boolean, map: number, opcode: number): number {
  return (vex ? 0x400 : 0) | (map << 8) | opcode;
}

export function opcodeEntry(vex: boolean, map: number, opcode: number): OpcodeEntry {
  const entry = entries[keyOf(vex, map, opcode)];
  if (!entry) throw new GuestFault(Vector.UD);
  return entry;
}

function fits(form: Form, prefixes: Prefixes, vex: Vex | undefined, modrm: number | undefined, mode: DecodeMode): boolean {
  const long = mode.mode === 64;
  if ((form.only64 && !long) || (form.not64 && long)) return false;
  const { feature, secondFeature } = form.definition;
  if (feature !== undefined && !mode.has(feature)) return false;
  if (secondFeature !== undefined && !mode.has(secondFeature)) return false;
  // With REX.B it is XCHG with R8, not NOP or PAUSE.
  if (form.map === 0 && form.opcode === 0x90 && !form.plusRegister && prefixes.rex & 1) return false;
  if (vex && form.vexL !== undefined && form.vexL !== vex.l) return false;
  if (vex && form.vexW !== undefined && form.vexW !== vex.w) return false;
  if (modrm === undefined) return true;
  if (form.modrmByte !== undefined) return form.modrmByte === modrm;
  const register = modrm >= 0xc0;
  const reg = (modrm >> 3) & 7;
  if (form.digit !== undefined && form.digit !== reg) return false;
  if (register ? form.places.includes('M') : /[RUNF]/.test(form.places)) return false;
  return reg <= 5 || !form.places.includes('S');
}

/** The form that bytes mean. Throws #UD when there is none. */
export function chooseForm(
  entry: OpcodeEntry,
  prefixes: Prefixes,
  vex: Vex | undefined,
  modrm: number | undefined,
  mode: DecodeMode,
): Form {
  const mandatory = prefixes.rep !== 0 ? prefixes.rep : prefixes.operandSize ? 0x66 : 0;
  const strict = mandatory !== 0 && (entry.strict || (entry.strictRepeat && prefixes.rep !== 0));
  let best: Form | undefined;
  let bestRank = 0;
  for (const form of entry.forms) {
    const isStrict = strict || form.definition.registers !== undefined;
    if (form.prefix !== mandatory && (form.prefix !== 0 || isStrict)) continue;
    // A mandatory prefix goes before none, and a whole ModRM byte is more exact than a digit.
    const rank = (form.prefix === mandatory ? 3 : 1) + (form.modrmByte === undefined ? 0 : 1);
    if (rank > bestRank && fits(form, prefixes, vex, modrm, mode)) {
      best = form;
      bestRank = rank;
    }
  }
  if (!best) throw new GuestFault(Vector.UD);
  return best;
}
