import type { DecodedInstruction, OperandSize } from '../../x86/instruction.ts';
import type { Form } from '../../x86/notation.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { formSize, type HandlerRequest } from '../interpreter/handler-table.ts';
import type { CodeMode } from '../processor.ts';
import { Segment } from '../state/layout.ts';
import { ByteReader, type CodeBytes } from './byte-reader.ts';
import { chooseForm, type DecodeMode, opcodeEntry } from './choose-form.ts';
import { type Prefixes, readPrefixes, readVex, type Vex } from './prefixes.ts';

/** Register number that stands for "none". */
export const NO_REGISTER = 16;

export interface Decoded {
  readonly form: Form;
  readonly instruction: DecodedInstruction;
  readonly request: HandlerRequest;
  /** The 8-bit register operands SPL–DIL are meant, not AH–BH. */
  readonly uniformBytes: boolean;
  /** General register in VEX.vvvv. */
  readonly vexRegister: number;
  /** The vector register with the indices of the memory operand. */
  readonly vectorIndex: number | undefined;
}

interface MemoryOperand {
  readonly base: number;
  readonly index: number;
  readonly scale: 1 | 2 | 4 | 8;
  displacement: bigint;
  readonly ripRelative: boolean;
  readonly stackSegment: boolean;
}

const PAIRS_16 = [
  [3, 6],
  [3, 7],
  [5, 6],
  [5, 7],
  [6, NO_REGISTER],
  [7, NO_REGISTER],
  [5, NO_REGISTER],
  [3, NO_REGISTER],
] as const;

function memory16(reader: ByteReader, mod: number, rm: number): MemoryOperand {
  const [base, index] = PAIRS_16[rm & 7] ?? [NO_REGISTER, NO_REGISTER];
  if (mod === 0 && rm === 6)
    return {
      base: NO_REGISTER,
      index: NO_REGISTER,
      scale: 1,
      displacement: reader.signed(2),
      ripRelative: false,
      stackSegment: false,
    };
  const displacement = mod === 0 ? 0n : reader.signed(mod === 1 ? 1 : 2);
  return { base, index, scale: 1, displacement, ripRelative: false, stackSegment: base === 5 };
}

function memory32(reader: ByteReader, mod: number, rm: number, rex: number, long: boolean, vectorIndex: boolean): MemoryOperand {
  let base = rm | ((rex & 1) << 3);
  let index = NO_REGISTER;
  let scale: 1 | 2 | 4 | 8 = 1;
  let ripRelative = false;
  let displacement = 0n;
  let full = mod === 2;
  if (rm === 4) {
    const sib = reader.u8();
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index === 4 && !vectorIndex) index = NO_REGISTER;
    scale = (1 << (sib >> 6)) as 1 | 2 | 4 | 8;
    base = (sib & 7) | ((rex & 1) << 3);
    if ((sib & 7) === 5 && mod === 0) {
      base = NO_REGISTER;
      full = true;
    }
  } else if (rm === 5 && mod === 0) {
    base = NO_REGISTER;
    full = true;
    ripRelative = long;
  }
  if (mod === 1) displacement = reader.signed(1);
  else if (full) displacement = reader.signed(4);
  return { base, index, scale, displacement, ripRelative, stackSegment: base === 4 || base === 5 };
}

function operandSizeOf(form: Form, prefixes: Prefixes, mode: CodeMode): OperandSize {
  if (mode === 64) {
    if (form.forced64 || prefixes.rex & 8) return 64;
    const small = prefixes.operandSize && form.prefix !== 0x66;
    if (form.default64) return small ? 16 : 64;
    return small ? 16 : 32;
  }
  return (mode === 16) === prefixes.operandSize ? 32 : 16;
}

/**
 * Decodes one instruction at `rip`.
 * Throws GuestFault: #UD for what is no instruction, #GP(0) beyond 15 bytes.
 */
export function decode(code: CodeBytes, rip: bigint, mode: DecodeMode): Decoded {
  const reader = new ByteReader(code);
  const long = mode.mode === 64;
  const { prefixes, opcode: first } = readPrefixes(reader, long);
  let map = 0;
  let opcode = first;
  let vex: Vex | undefined;
  if ((first === 0xc4 || first === 0xc5) && (long || (mode.vex && reader.peek() >= 0xc0))) {
    vex = readVex(reader, first, prefixes, long);
    map = vex.map;
    opcode = reader.u8();
  } else if (opcode === 0x0f) {
    opcode = reader.u8();
    map = 1;
    if (opcode === 0x38 || opcode === 0x3a) {
      map = opcode === 0x38 ? 2 : 3;
      opcode = reader.u8();
    }
  }
  const entry = opcodeEntry(vex !== undefined, map, opcode);
  const modrm = entry.hasModrm ? reader.u8() : undefined;
  const form = chooseForm(entry, prefixes, vex, modrm, mode);
  const { places } = form;
  if (vex && vex.register !== 0 && !/[BH]/.test(places)) throw new GuestFault(Vector.UD);
  const operandSize = operandSizeOf(form, prefixes, mode.mode);
  const addressSize = long ? (prefixes.addressSize ? 32 : 64) : (mode.mode === 16) === prefixes.addressSize ? 32 : 16;
  let size = formSize(form, operandSize);
  const { wideFeature, longFeature, feature256, registers } = form.definition;
  const vectorLength = /[KQN]/.test(places) ? 64 : vex?.l === 1 && form.hasLength ? 256 : 128;
  if (feature256 !== undefined && vectorLength === 256 && !mode.has(feature256)) throw new GuestFault(Vector.UD);
  if (wideFeature !== undefined && size === 64 && !mode.has(wideFeature)) throw new GuestFault(Vector.UD);
  if (longFeature !== undefined && long && !mode.has(longFeature)) throw new GuestFault(Vector.UD);

  let operand: MemoryOperand = {
    base: NO_REGISTER,
    index: NO_REGISTER,
    scale: 1,
    displacement: 0n,
    ripRelative: false,
    stackSegment: false,
  };
  // Moves to and from control registers take ModRM for registers whatever its mod says.
  const memory = modrm !== undefined && modrm < 0xc0 && !places.includes('P');
  if (memory) {
    const [mod, rm] = [modrm >> 6, modrm & 7];
    if (form.vectorIndex && (addressSize === 16 || rm !== 4)) throw new GuestFault(Vector.UD);
    operand = addressSize === 16 ? memory16(reader, mod, rm) : memory32(reader, mod, rm, prefixes.rex, long, form.vectorIndex);
  }
  const vectorIndex = form.vectorIndex ? operand.index : undefined;
  if (vectorIndex !== undefined && modrm !== undefined) {
    // Destination, mask and indices must be three registers.
    const registers = new Set([vectorIndex, vex?.register ?? 0, ((modrm >> 3) & 7) | ((prefixes.rex & 4) << 1)]);
    if (registers.size < 3) throw new GuestFault(Vector.UD);
  }
  // A segment register is stored to memory as a word, whatever the operand size.
  if (memory && places.includes('S')) size = 16;

  let immediate = 0n;
  let immediate2 = 0;
  let seen = false;
  let offset = false;
  for (const { place, width } of form.operands) {
    if (place === 'O') {
      offset = true;
      operand.displacement = addressSize === 64 ? reader.u64() : BigInt(addressSize === 32 ? reader.u32() : reader.u16());
    } else if (place === 'J') immediate = reader.signed(width === 's' ? 1 : operandSize === 16 ? 2 : 4);
    else if (place === 'I' && seen) immediate2 = reader.u8();
    else if (place === 'I') {
      seen = true;
      if (width === 'b') immediate = BigInt(reader.u8());
      else if (width === 'w') immediate = BigInt(reader.u16());
      else if (width === 's') immediate = reader.signed(1);
      else if (width === 'v' && operandSize === 64) immediate = reader.u64();
      else immediate = reader.signed(operandSize === 16 ? 2 : 4);
    }
  }
  if (seen && (form.definition.helper === 'call_far' || form.definition.helper === 'jmp_far')) immediate2 = reader.u16();

  const inMemory = memory || offset;
  if (prefixes.lock) {
    if (!form.definition.lock || !inMemory || (places[0] !== 'E' && places[0] !== 'M')) throw new GuestFault(Vector.UD);
  }
  const unitFault = registers && mode.unitFaults[registers];
  if (unitFault !== undefined) throw new GuestFault(unitFault);
  if (operand.ripRelative) operand.displacement += rip + BigInt(reader.length);
  // As a part of the opcode it repeats nothing.
  const isMandatory = vex !== undefined || form.prefix > 0x66;
  const rep = isMandatory ? 'none' : prefixes.rep === 0xf3 ? 'rep' : prefixes.rep === 0xf2 ? 'repne' : 'none';
  const { rex } = prefixes;
  const segment = prefixes.segment ?? (operand.stackSegment ? Segment.SS : Segment.DS);
  const plain = mode.mode === 64 && memory && addressSize === 64 && operand.index === NO_REGISTER && segment < Segment.FS;
  return {
    form,
    uniformBytes: rex !== 0,
    vexRegister: vex?.register ?? 0,
    vectorIndex,
    request: { size, memory: inMemory, addressSize, stackWidth: mode.stackWidth, rep, plain, vectorLength },
    instruction: {
      mnemonic: form.definition.mnemonic,
      length: reader.length,
      operandSize: size === 8 ? 8 : operandSize,
      addressSize,
      stackSize: mode.stackWidth,
      opcode,
      segment,
      rep,
      lock: prefixes.lock,
      modrm:
        modrm === undefined
          ? undefined
          : { mod: modrm >> 6, reg: ((modrm >> 3) & 7) | ((rex & 4) << 1), rm: (modrm & 7) | ((rex & 1) << 3) },
      base: operand.base,
      index: form.vectorIndex ? NO_REGISTER : operand.index,
      scale: operand.scale,
      displacement: operand.displacement,
      ripRelative: operand.ripRelative,
      immediate,
      immediate2,
      rex,
    },
  };
}
