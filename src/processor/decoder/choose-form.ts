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

/** What keeps instructions from using MMX, SSE and AVX registers, and from saving them: #UD or #NM, or nothing. */
export interface UnitFaults {
  readonly mmx: number | undefined;
  readonly sse: number | undefined;
  readonly avx: number | undefined;
  readonly xsave: number | undefined;
  /** A number below 32 that tells these from others. */
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
      // Group 15 is 0F AE, MOVNTI 0F C3.
      strict: form.vex || (form.map === 1 && (form.opcode === 0xae || form.opcode === 0xc3)),
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

/** What choosing looks at in a form, worked out beforehand. */
interface Candidate {
  readonly form: Form;
  /** Takes none but its own mandatory prefix. */
  readonly isStrict: boolean;
  readonly onlyMemory: boolean;
  readonly onlyRegister: boolean;
  readonly isSegmentMove: boolean;
  /** With REX.B it is XCHG with R8, not NOP or PAUSE. */
  readonly isNop: boolean;
}

const candidates = new Map<OpcodeEntry, readonly Candidate[]>();

function candidatesOf(entry: OpcodeEntry): readonly Candidate[] {
  let list = candidates.get(entry);
  if (!list) {
    list = entry.forms.map((form) => ({
      form,
      isStrict: form.definition.registers !== undefined,
      onlyMemory: form.places.includes('M'),
      onlyRegister: /[RUNF]/.test(form.places),
      isSegmentMove: form.places.includes('S'),
      isNop: form.map === 0 && form.opcode === 0x90 && !form.plusRegister,
    }));
    candidates.set(entry, list);
  }
  return list;
}

function fits(
  candidate: Candidate,
  prefixes: Prefixes,
  vex: Vex | undefined,
  modrm: number | undefined,
  mode: DecodeMode,
): boolean {
  const { form } = candidate;
  if (mode.mode === 64 ? form.not64 : form.only64) return false;
  if (candidate.isNop && prefixes.rex & 1) return false;
  if (vex && form.vexL !== undefined && form.vexL !== vex.l) return false;
  if (vex && form.vexW !== undefined && form.vexW !== vex.w) return false;
  if (modrm !== undefined) {
    if (form.modrmByte !== undefined) {
      if (form.modrmByte !== modrm) return false;
    } else {
      const reg = (modrm >> 3) & 7;
      if (form.digit !== undefined && form.digit !== reg) return false;
      if (modrm >= 0xc0 ? candidate.onlyMemory : candidate.onlyRegister) return false;
      if (reg > 5 && candidate.isSegmentMove) return false;
    }
  }
  const { feature, secondFeature } = form.definition;
  return (feature === undefined || mode.has(feature)) && (secondFeature === undefined || mode.has(secondFeature));
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
  for (const candidate of candidatesOf(entry)) {
    const { form } = candidate;
    if (form.prefix !== mandatory && (form.prefix !== 0 || strict || candidate.isStrict)) continue;
    // A mandatory prefix goes before none, and a whole ModRM byte is more exact than a digit.
    const rank = (form.prefix === mandatory ? 3 : 1) + (form.modrmByte === undefined ? 0 : 1);
    if (rank > bestRank && fits(candidate, prefixes, vex, modrm, mode)) {
      best = form;
      bestRank = rank;
    }
  }
  if (!best) throw new GuestFault(Vector.UD);
  return best;
}
