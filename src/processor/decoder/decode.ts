import type { DecodedInstruction, OperandSize } from '../../x86/instruction.ts';
import type { Form } from '../../x86/notation.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { formSize, forms, type HandlerRequest } from '../interpreter/handler-table.ts';
import type { CodeMode } from '../processor.ts';
import { Segment } from '../state/layout.ts';

/** Longest instruction (Intel SDM vol. 2, 2.3.11). */
const MAX_LENGTH = 15;
/** Register number that stands for "none". */
export const NO_REGISTER = 16;

/** Set in the key of forms with a VEX prefix. */
const VEX_TABLE = 1 << 16;

function tableKey(vex: boolean, map: number, opcode: number): number {
  return (vex ? VEX_TABLE : 0) | (map << 8) | opcode;
}

/** Forms by prefix kind, map and opcode. */
const byOpcode = new Map<number, Form[]>();
for (const form of forms) {
  for (let add = 0; add < (form.plusRegister ? 8 : 1); add++) {
    const key = tableKey(form.vex, form.map, form.opcode + add);
    const list = byOpcode.get(key);
    if (list) list.push(form);
    else byOpcode.set(key, [form]);
  }
}

/** How code is decoded: CS.D/L, SS.B, and what the processor model has. */
export interface DecodeMode {
  readonly mode: CodeMode;
  readonly stackWidth: 16 | 32 | 64;
  /** C4 and C5 can be VEX prefixes: not in real and virtual-8086 mode. */
  readonly vex: boolean;
  has(feature: string): boolean;
}

export interface Decoded {
  readonly form: Form;
  readonly instruction: DecodedInstruction;
  readonly request: HandlerRequest;
  /** The 8-bit register operands SPL–DIL are meant, not AH–BH. */
  readonly uniformBytes: boolean;
  /** General register in VEX.vvvv. */
  readonly vexRegister: number;
}

/** Reads the bytes of one instruction in order; counts them against the limit. */
class ByteReader {
  length = 0;
  constructor(private readonly byteAt: (index: number) => number) {}

  u8(): number {
    if (this.length >= MAX_LENGTH) throw new GuestFault(Vector.GP, 0);
    return this.byteAt(this.length++);
  }
  /** The next byte, which stays to be read. */
  peek(): number {
    if (this.length >= MAX_LENGTH) throw new GuestFault(Vector.GP, 0);
    return this.byteAt(this.length);
  }
  u16(): number {
    const low = this.u8();
    return low | (this.u8() << 8);
  }
  u32(): number {
    const low = this.u16();
    return (low | (this.u16() << 16)) >>> 0;
  }
  u64(): bigint {
    const low = BigInt(this.u32());
    return low | (BigInt(this.u32()) << 32n);
  }
  signed(bytes: 1 | 2 | 4): bigint {
    if (bytes === 1) return BigInt.asIntN(8, BigInt(this.u8()));
    return bytes === 2 ? BigInt.asIntN(16, BigInt(this.u16())) : BigInt.asIntN(32, BigInt(this.u32()));
  }
}

interface Prefixes {
  operandSize: boolean;
  addressSize: boolean;
  lock: boolean;
  rep: 0 | 0xf2 | 0xf3;
  segment: number | undefined;
  rex: number;
}

const SEGMENT_PREFIX: Readonly<Record<number, number>> = {
  38: Segment.ES,
  46: Segment.CS,
  54: Segment.SS,
  62: Segment.DS,
  100: Segment.FS,
  101: Segment.GS,
};

/** Reads prefixes up to the first opcode byte, which it returns. */
function readPrefixes(reader: ByteReader, long: boolean): { prefixes: Prefixes; opcode: number } {
  const prefixes: Prefixes = { operandSize: false, addressSize: false, lock: false, rep: 0, segment: undefined, rex: 0 };
  for (;;) {
    const byte = reader.u8();
    const segment = SEGMENT_PREFIX[byte];
    if (segment !== undefined) {
      // In 64-bit mode only FS and GS count.
      if (!long || segment >= Segment.FS) prefixes.segment = segment;
    } else if (byte === 0x66) prefixes.operandSize = true;
    else if (byte === 0x67) prefixes.addressSize = true;
    else if (byte === 0xf0) prefixes.lock = true;
    else if (byte === 0xf2 || byte === 0xf3) prefixes.rep = byte;
    else if (long && (byte & 0xf0) === 0x40) {
      // REX counts only directly before the opcode.
      prefixes.rex = byte;
      continue;
    } else return { prefixes, opcode: byte };
    prefixes.rex = 0;
  }
}

interface Vex {
  readonly map: number;
  /** vvvv, inverted as it stands for a register. */
  readonly register: number;
}

/**
 * Reads a VEX prefix after its first byte, and makes of it what the older prefixes would say. Throws #UD where it stands
 * behind prefixes that it replaces, or asks for vectors of 256 bits.
 */
function readVex(reader: ByteReader, first: number, prefixes: Prefixes, long: boolean): Vex {
  if (prefixes.operandSize || prefixes.lock || prefixes.rep !== 0 || prefixes.rex !== 0) throw new GuestFault(Vector.UD);
  const second = reader.u8();
  const third = first === 0xc4 ? reader.u8() : second;
  const map = first === 0xc4 ? second & 0x1f : 1;
  // R, X and B are stored inverted; outside 64-bit mode there are eight registers.
  const extension = first === 0xc4 ? ~(second >> 5) & 7 : ~(second >> 5) & 4;
  const wide = first === 0xc4 && third & 0x80 ? 8 : 0;
  prefixes.rex = long ? extension | wide : 0;
  const mandatory = third & 3;
  prefixes.operandSize = mandatory === 1;
  prefixes.rep = mandatory === 2 ? 0xf3 : mandatory === 3 ? 0xf2 : 0;
  if (third & 4 || map < 1 || map > 3) throw new GuestFault(Vector.UD);
  return { map, register: ~(third >> 3) & (long ? 15 : 7) };
}

interface MemoryOperand {
  readonly base: number;
  readonly index: number;
  readonly scale: 1 | 2 | 4 | 8;
  readonly displacement: bigint;
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

function memory32(reader: ByteReader, mod: number, rm: number, rex: number, long: boolean): MemoryOperand {
  let base = rm | ((rex & 1) << 3);
  let index = NO_REGISTER;
  let scale: 1 | 2 | 4 | 8 = 1;
  let ripRelative = false;
  let displacement = 0n;
  let full = mod === 2;
  if (rm === 4) {
    const sib = reader.u8();
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index === 4) index = NO_REGISTER;
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

function fits(form: Form, prefixes: Prefixes, long: boolean, modrm: number | undefined, mode: DecodeMode): boolean {
  if ((form.only64 && !long) || (form.not64 && long)) return false;
  if (form.definition.feature !== undefined && !mode.has(form.definition.feature)) return false;
  // With REX.B it is XCHG with R8, not NOP or PAUSE.
  if (form.map === 0 && form.opcode === 0x90 && !form.plusRegister && prefixes.rex & 1) return false;
  if (modrm === undefined) return true;
  const register = modrm >= 0xc0;
  const reg = (modrm >> 3) & 7;
  if (form.modrmByte !== undefined) return form.modrmByte === modrm;
  if (form.digit !== undefined && form.digit !== reg) return false;
  for (const { place } of form.operands) {
    if (place === 'M' && register) return false;
    if (place === 'R' && !register) return false;
    if (place === 'S' && reg > 5) return false;
  }
  return true;
}

function chooseForm(
  candidates: readonly Form[],
  prefixes: Prefixes,
  long: boolean,
  modrm: number | undefined,
  mode: DecodeMode,
): Form {
  const mandatory = prefixes.rep !== 0 ? prefixes.rep : prefixes.operandSize ? 0x66 : 0;
  const usable = candidates.filter((form) => fits(form, prefixes, long, modrm, mode));
  // A whole ModRM byte is more exact than a digit.
  const exact = (prefix: number) =>
    usable.find((form) => form.prefix === prefix && form.modrmByte !== undefined) ??
    usable.find((form) => form.prefix === prefix);
  const prefixed = mandatory !== 0 ? exact(mandatory) : undefined;
  // In group 15 another prefix makes another instruction, and so do F2 and F3 in the map 0F 38.
  const strict = candidates.some(
    (candidate) =>
      (candidate.vex && mandatory !== 0) ||
      (candidate.map === 1 && candidate.opcode === 0xae && mandatory !== 0) ||
      (candidate.map === 2 && prefixes.rep !== 0),
  );
  const form = prefixed ?? (strict ? undefined : exact(0));
  if (!form) throw new GuestFault(Vector.UD);
  return form;
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
 * Decodes one instruction at `rip`. `byteAt` gives its bytes (and throws a GuestFault where they can't be fetched).
 * Throws GuestFault: #UD for what is no instruction, #GP(0) beyond 15 bytes.
 */
export function decode(byteAt: (index: number) => number, rip: bigint, mode: DecodeMode): Decoded {
  const reader = new ByteReader(byteAt);
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
  const candidates = byOpcode.get(tableKey(vex !== undefined, map, opcode));
  if (!candidates) throw new GuestFault(Vector.UD);
  const modrm = candidates.some((form) => form.hasModrm) ? reader.u8() : undefined;
  const form = chooseForm(candidates, prefixes, long, modrm, mode);
  if (vex && vex.register !== 0 && !form.operands.some(({ place }) => place === 'B')) throw new GuestFault(Vector.UD);
  const operandSize = operandSizeOf(form, prefixes, mode.mode);
  const addressSize = long ? (prefixes.addressSize ? 32 : 64) : (mode.mode === 16) === prefixes.addressSize ? 32 : 16;
  let size = formSize(form, operandSize);

  let operand: MemoryOperand = {
    base: NO_REGISTER,
    index: NO_REGISTER,
    scale: 1,
    displacement: 0n,
    ripRelative: false,
    stackSegment: false,
  };
  const moves = form.operands.some(({ place }) => place === 'P');
  const memory = modrm !== undefined && modrm < 0xc0 && !moves;
  if (memory)
    operand =
      addressSize === 16 ? memory16(reader, modrm >> 6, modrm & 7) : memory32(reader, modrm >> 6, modrm & 7, prefixes.rex, long);
  // A segment register is stored to memory as a word, whatever the operand size.
  if (memory && form.operands.some(({ place }) => place === 'S')) size = 16;

  let immediate = 0n;
  let immediate2 = 0;
  let seen = false;
  let offset = false;
  for (const { place, width } of form.operands) {
    if (place === 'O') {
      offset = true;
      const displacement = addressSize === 64 ? reader.u64() : BigInt(addressSize === 32 ? reader.u32() : reader.u16());
      operand = { ...operand, displacement };
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
    const place = form.operands[0]?.place;
    if (!form.definition.lock || !inMemory || (place !== 'E' && place !== 'M')) throw new GuestFault(Vector.UD);
  }
  if (operand.ripRelative) operand = { ...operand, displacement: rip + BigInt(reader.length) + operand.displacement };
  const rep = vex ? 'none' : prefixes.rep === 0xf3 ? 'rep' : prefixes.rep === 0xf2 ? 'repne' : 'none';
  const { rex } = prefixes;
  return {
    form,
    uniformBytes: rex !== 0,
    vexRegister: vex?.register ?? 0,
    request: { size, memory: inMemory, addressSize, stackWidth: mode.stackWidth, rep },
    instruction: {
      mnemonic: form.definition.mnemonic,
      length: reader.length,
      operandSize: size === 8 ? 8 : operandSize,
      addressSize,
      stackSize: mode.stackWidth,
      opcode,
      segment: prefixes.segment ?? (operand.stackSegment ? Segment.SS : Segment.DS),
      rep,
      lock: prefixes.lock,
      ...(modrm === undefined
        ? {}
        : { modrm: { mod: modrm >> 6, reg: ((modrm >> 3) & 7) | ((rex & 4) << 1), rm: (modrm & 7) | ((rex & 1) << 3) } }),
      base: operand.base,
      index: operand.index,
      scale: operand.scale,
      displacement: operand.displacement,
      ripRelative: operand.ripRelative,
      immediate,
      immediate2,
      rex,
    },
  };
}
