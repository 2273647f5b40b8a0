import { Encoder, Instruction, OpCodeOperandKind as Kind, OpKind, Register } from 'iced-x86';
import { AssemblyError } from './diagnostic.ts';
import type { Value } from './expression.ts';
import { encodings } from './generated/encodings.ts';
import { aliases, modeAliases, noOperandPrefix, stringInstructions, wideSelector } from './mnemonics.ts';
import type { ImmediateOperand, MemoryOperand, Operand, RegisterOperand } from './operands.ts';

export interface EncodeRequest {
  /** Lower case. */
  readonly mnemonic: string;
  /** Prefix bytes in front: lock, rep, segment … */
  readonly prefixes: readonly number[];
  readonly operands: readonly Operand[];
  readonly mode: 16 | 32 | 64;
  /** Address of the first byte. */
  readonly address: bigint;
  /** A relative jump must not be short (an earlier pass found it too far). */
  readonly near: boolean;
}

interface Row {
  readonly code: number;
  readonly modes: number;
  readonly operandSize: number;
  readonly far: boolean;
  readonly default64: boolean;
  readonly kinds: readonly number[];
}

const FLAG_FAR = 1;
const FLAG_DEFAULT_64 = 2;
const rows = new Map<string, Row[]>();
for (const [code, mnemonic, modes, operandSize, flags, kinds] of encodings) {
  const row: Row = { code, modes, operandSize, far: (flags & FLAG_FAR) !== 0, default64: (flags & FLAG_DEFAULT_64) !== 0, kinds };
  const list = rows.get(mnemonic);
  if (list) list.push(row);
  else rows.set(mnemonic, [row]);
}

/** True for what the assembler takes as an instruction. */
export function isMnemonic(word: string): boolean {
  return rows.has(word) || aliases.has(word) || modeAliases.has(word) || stringInstructions.has(word);
}

export function mnemonicNames(): readonly string[] {
  return [...new Set([...rows.keys(), ...aliases.keys(), ...modeAliases.keys(), ...stringInstructions.keys()])];
}

const REGISTER_KINDS: Readonly<Record<number, RegisterOperand['class']>> = {
  [Kind.r8_reg]: 'r8',
  [Kind.r8_opcode]: 'r8',
  [Kind.r16_reg]: 'r16',
  [Kind.r16_reg_mem]: 'r16',
  [Kind.r16_rm]: 'r16',
  [Kind.r16_opcode]: 'r16',
  [Kind.r32_reg]: 'r32',
  [Kind.r32_reg_mem]: 'r32',
  [Kind.r32_rm]: 'r32',
  [Kind.r32_opcode]: 'r32',
  [Kind.r32_vvvv]: 'r32',
  [Kind.r64_reg]: 'r64',
  [Kind.r64_reg_mem]: 'r64',
  [Kind.r64_rm]: 'r64',
  [Kind.r64_opcode]: 'r64',
  [Kind.r64_vvvv]: 'r64',
  [Kind.seg_reg]: 'seg',
  [Kind.cr_reg]: 'cr',
  [Kind.dr_reg]: 'dr',
  [Kind.mm_reg]: 'mm',
  [Kind.mm_rm]: 'mm',
  [Kind.xmm_reg]: 'xmm',
  [Kind.xmm_rm]: 'xmm',
  [Kind.xmm_vvvv]: 'xmm',
  [Kind.ymm_reg]: 'ymm',
  [Kind.ymm_rm]: 'ymm',
  [Kind.ymm_vvvv]: 'ymm',
  [Kind.sti_opcode]: 'st',
};

/** Kinds that are a register or memory: the register's class, the memory's size in bits. */
const REGISTER_OR_MEMORY: Readonly<Record<number, readonly [RegisterOperand['class'], number]>> = {
  [Kind.r8_or_mem]: ['r8', 8],
  [Kind.r16_or_mem]: ['r16', 16],
  [Kind.r32_or_mem]: ['r32', 32],
  [Kind.r64_or_mem]: ['r64', 64],
  [Kind.mm_or_mem]: ['mm', 64],
  [Kind.xmm_or_mem]: ['xmm', 128],
  [Kind.ymm_or_mem]: ['ymm', 256],
};

const FIXED: Readonly<Record<number, string>> = {
  [Kind.es]: 'es',
  [Kind.cs]: 'cs',
  [Kind.ss]: 'ss',
  [Kind.ds]: 'ds',
  [Kind.fs]: 'fs',
  [Kind.gs]: 'gs',
  [Kind.al]: 'al',
  [Kind.cl]: 'cl',
  [Kind.ax]: 'ax',
  [Kind.dx]: 'dx',
  [Kind.eax]: 'eax',
  [Kind.rax]: 'rax',
  [Kind.st0]: 'st0',
};

const BRANCHES: Readonly<Record<number, { readonly short: boolean; readonly size: number }>> = {
  [Kind.br16_1]: { short: true, size: 16 },
  [Kind.br32_1]: { short: true, size: 32 },
  [Kind.br64_1]: { short: true, size: 64 },
  [Kind.br16_2]: { short: false, size: 16 },
  [Kind.br32_4]: { short: false, size: 32 },
  [Kind.br64_4]: { short: false, size: 64 },
};

const SHORT_IMMEDIATES: ReadonlySet<number> = new Set([Kind.imm8sex16, Kind.imm8sex32, Kind.imm8sex64]);

const fitsSigned = (value: bigint, bits: number): boolean => BigInt.asIntN(bits, value) === value;
const fitsEither = (value: bigint, bits: number): boolean => value >= -(1n << BigInt(bits - 1)) && value < 1n << BigInt(bits);
const isPlain = (value: Value): boolean => value.section === undefined && !value.unknown;

function immediateFits(kind: number, { value, size, strict }: ImmediateOperand): boolean {
  const { number } = value;
  const byte = (bits: number) => {
    if (size !== 0 && size !== 8 && strict) return false;
    if (size === 8 && strict) return true;
    // What wraps to a signed byte at the operand size is one.
    return isPlain(value) && fitsSigned(BigInt.asIntN(bits, number), 8) && fitsEither(number, bits);
  };
  switch (kind) {
    case Kind.imm8:
      return size === 0 || size === 8;
    case Kind.imm8_const_1:
      return isPlain(value) && number === 1n && !strict;
    case Kind.imm8sex16:
      return byte(16);
    case Kind.imm8sex32:
      return byte(32);
    case Kind.imm8sex64:
      return byte(64);
    case Kind.imm16:
      return size === 0 || size === 16;
    case Kind.imm32:
      return size === 0 || size === 32;
    case Kind.imm32sex64:
      return (size === 0 || size === 32) && (!isPlain(value) || fitsSigned(number, 32));
    case Kind.imm64:
      return size === 0 || size === 64;
    default:
      return false;
  }
}

function memoryFits(memory: MemoryOperand, size: number): boolean {
  return memory.size === 0 || memory.size === size;
}

function operandFits(kind: number, operand: Operand, request: EncodeRequest): boolean {
  const both = REGISTER_OR_MEMORY[kind];
  if (operand.type === 'register') {
    if (both) return both[0] === operand.class;
    if (FIXED[kind] !== undefined) return FIXED[kind] === operand.name;
    return REGISTER_KINDS[kind] === operand.class;
  }
  if (operand.type === 'memory') {
    if (both) return memoryFits(operand, both[1]);
    if (kind === Kind.mem) return true;
    return kind === Kind.mem_offs && operand.base === 0 && operand.index === 0 && !operand.relative && request.mode !== 64;
  }
  if (operand.type === 'far') return kind === Kind.farbr2_2 || kind === Kind.farbr4_2;
  const branch = BRANCHES[kind];
  if (branch) {
    if (operand.distance === 'far') return false;
    return branch.short ? !request.near && operand.distance !== 'near' : operand.distance !== 'short';
  }
  // An address may lie anywhere: moved into a 64-bit register it takes all 64 bits.
  const moved = request.mnemonic === 'mov' && request.operands[0]?.type === 'register';
  if (kind === Kind.imm32sex64 && moved && !isPlain(operand.value) && operand.size === 0) return false;
  return immediateFits(kind, operand);
}

const MODE_BIT = { 16: 1, 32: 2, 64: 4 } as const;

/** Operand size that the operands ask for; 0 when none says. */
function statedSize(operands: readonly Operand[]): number {
  for (const operand of operands) {
    if (operand.type === 'register' && ['r16', 'r32', 'r64'].includes(operand.class)) return operand.size;
    if (operand.type !== 'register' && [16, 32, 64].includes(operand.size)) return operand.size;
  }
  return 0;
}

/** Picks rows that fit; a size that nothing states is the mode's own. */
function candidates(request: EncodeRequest, list: readonly Row[], operands: readonly Operand[]): Row[] {
  const { mode } = request;
  const far = operands.some((operand) => operand.type === 'far' || (operand.type === 'memory' && operand.far));
  const fitting = list.filter(
    (row) =>
      (row.modes & MODE_BIT[mode]) !== 0 &&
      row.kinds.length === operands.length &&
      (row.far === far || !row.kinds.some((kind) => kind === Kind.mem)) &&
      row.kinds.every((kind, index) => {
        const operand = operands[index];
        return operand !== undefined && operandFits(kind, operand, request);
      }),
  );
  if (
    statedSize(operands) !== 0 &&
    !operands.some((operand) => operand.type === 'immediate' && operand.size !== 0 && operands.length > 1)
  ) {
    const size = statedSize(operands);
    const single = operands.length === 1 && operands[0]?.type !== 'register';
    return single ? fitting.filter((row) => row.operandSize === 0 || row.operandSize === size) : fitting;
  }
  const natural = fitting.filter(
    (row) => row.operandSize === 0 || row.operandSize === (mode !== 64 ? mode : row.default64 ? 64 : 32),
  );
  return natural.length > 0 ? natural : fitting;
}

const encoders = new Map<number, Encoder>();

function encoderFor(mode: number): Encoder {
  let encoder = encoders.get(mode);
  if (!encoder) {
    encoder = new Encoder(mode);
    // After a failed encoding the encoder is replaced, so nothing is left over.
    encoders.set(mode, encoder);
  }
  return encoder;
}

/** Encodes with one row; undefined when it can't hold the values (a branch that is too far, say). */
function encodeRow(row: Row, operands: readonly Operand[], request: EncodeRequest): Uint8Array | undefined {
  const instruction = new Instruction();
  const encoder = encoderFor(request.mode);
  try {
    instruction.code = row.code;
    row.kinds.forEach((kind, index) => {
      const operand = operands[index];
      if (operand) setOperand(instruction, index, kind, operand, request);
    });
    encoder.encode(instruction, request.address + BigInt(request.prefixes.length));
    return encoder.takeBuffer();
  } catch {
    encoder.free();
    encoders.delete(request.mode);
    return undefined;
  } finally {
    instruction.free();
  }
}

const IMMEDIATE_KINDS: Readonly<Record<number, OpKind>> = {
  [Kind.imm8]: OpKind.Immediate8,
  [Kind.imm8_const_1]: OpKind.Immediate8,
  [Kind.imm8sex16]: OpKind.Immediate8to16,
  [Kind.imm8sex32]: OpKind.Immediate8to32,
  [Kind.imm8sex64]: OpKind.Immediate8to64,
  [Kind.imm16]: OpKind.Immediate16,
  [Kind.imm32]: OpKind.Immediate32,
  [Kind.imm32sex64]: OpKind.Immediate32to64,
  [Kind.imm64]: OpKind.Immediate64,
};

function setOperand(instruction: Instruction, index: number, kind: number, operand: Operand, request: EncodeRequest): void {
  if (operand.type === 'register') {
    instruction.setOpKind(index, OpKind.Register);
    instruction.setOpRegister(index, operand.register);
  } else if (operand.type === 'memory') setMemory(instruction, index, operand, request);
  else if (operand.type === 'far') {
    const wide = kind === Kind.farbr4_2;
    instruction.setOpKind(index, wide ? OpKind.FarBranch32 : OpKind.FarBranch16);
    instruction.farBranchSelector = Number(operand.selector.number & 0xffffn);
    if (wide) instruction.farBranch32 = Number(operand.offset.number & 0xffff_ffffn);
    else instruction.farBranch16 = Number(operand.offset.number & 0xffffn);
  } else {
    const branch = BRANCHES[kind];
    const { number } = operand.value;
    if (branch) {
      instruction.setOpKind(
        index,
        branch.size === 16 ? OpKind.NearBranch16 : branch.size === 32 ? OpKind.NearBranch32 : OpKind.NearBranch64,
      );
      if (branch.size === 16) instruction.nearBranch16 = Number(number & 0xffffn);
      else if (branch.size === 32) instruction.nearBranch32 = Number(number & 0xffff_ffffn);
      else instruction.nearBranch64 = BigInt.asUintN(64, number);
    } else setImmediate(instruction, index, kind, number);
  }
}

function setImmediate(instruction: Instruction, index: number, kind: number, number: bigint): void {
  const opKind = IMMEDIATE_KINDS[kind] ?? OpKind.Immediate8;
  // The second immediate of ENTER has a slot of its own.
  const second = index > 0 && instruction.opKind(index - 1) === OpKind.Immediate16 && kind === Kind.imm8;
  instruction.setOpKind(index, second ? OpKind.Immediate8_2nd : opKind);
  if (second) instruction.immediate8_2nd = Number(number & 0xffn);
  else if (kind === Kind.imm8 || kind === Kind.imm8_const_1) instruction.immediate8 = Number(number & 0xffn);
  else if (kind === Kind.imm8sex16) instruction.immediate8to16 = Number(BigInt.asIntN(8, number));
  else if (kind === Kind.imm8sex32) instruction.immediate8to32 = Number(BigInt.asIntN(8, number));
  else if (kind === Kind.imm8sex64) instruction.immediate8to64 = BigInt.asIntN(8, number);
  else if (kind === Kind.imm16) instruction.immediate16 = Number(number & 0xffffn);
  else if (kind === Kind.imm32) instruction.immediate32 = Number(number & 0xffff_ffffn);
  else if (kind === Kind.imm32sex64) instruction.immediate32to64 = BigInt.asIntN(32, number);
  else instruction.immediate64 = BigInt.asUintN(64, number);
}

function setMemory(instruction: Instruction, index: number, memory: MemoryOperand, _request: EncodeRequest): void {
  instruction.setOpKind(index, OpKind.Memory);
  if (memory.segment !== 0) instruction.segmentPrefix = memory.segment;
  const number = memory.displacement?.number ?? 0n;
  if (memory.relative) {
    instruction.memoryBase = memory.addressSize === 32 ? Register.EIP : Register.RIP;
    instruction.memoryDisplSize = memory.addressSize === 32 ? 4 : 8;
    instruction.memoryDisplacement = BigInt.asUintN(64, number);
    return;
  }
  instruction.memoryBase = memory.base;
  instruction.memoryIndex = memory.index;
  instruction.memoryIndexScale = memory.scale;
  const bytes = memory.addressSize / 8;
  const wrapped = BigInt.asIntN(memory.addressSize, number);
  instruction.memoryDisplacement = BigInt.asUintN(64, wrapped);
  if (memory.base === 0 && memory.index === 0) {
    instruction.memoryDisplSize = bytes;
    // An address alone is not sign-extended in 16- and 32-bit addressing.
    if (memory.addressSize !== 64) instruction.memoryDisplacement = BigInt.asUintN(memory.addressSize, number);
  } else if (
    memory.displacement === undefined ||
    (isPlain(memory.displacement) && wrapped === 0n && memory.displacementSize === 0)
  )
    instruction.memoryDisplSize = memory.base === 0 ? bytes : 0;
  else {
    const small = isPlain(memory.displacement) && fitsSigned(wrapped, 8) && memory.base !== 0;
    const byte = memory.displacementSize === 1 || (memory.displacementSize === 0 && small);
    instruction.memoryDisplSize = byte && memory.base !== 0 ? 1 : bytes;
  }
}

/** Encodes an instruction in its shortest form, as NASM does. Throws AssemblyError. */
export function encodeInstruction(request: EncodeRequest): Uint8Array {
  const { mode } = request;
  const mnemonic = modeAliases.get(request.mnemonic)?.[mode] ?? aliases.get(request.mnemonic) ?? request.mnemonic;
  const string = stringInstructions.get(mnemonic);
  if (string && request.operands.length === 0) return withPrefixes(request, string(mode));
  const list = rows.get(mnemonic);
  if (!list) throw new AssemblyError(`"${request.mnemonic}" is not an instruction.`);
  const operands = normalize(mnemonic, request.operands, mode);
  const usable = candidates(request, list, operands);
  let best: Uint8Array | undefined;
  for (const row of usable) {
    const bytes = encodeRow(row, operands, request);
    // Of two forms of one length NASM takes the one with the short immediate.
    const short = row.kinds.some((kind) => SHORT_IMMEDIATES.has(kind));
    if (bytes && (!best || bytes.length < best.length || (bytes.length === best.length && short))) best = bytes;
  }
  if (best) {
    if (usable.length > 1) checkSizeStated(usable, operands);
    return withPrefixes(request, best);
  }
  throw explain(request, list, operands, usable.length > 0);
}

function withPrefixes(request: EncodeRequest, bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...request.prefixes, ...bytes]);
}

/** AAM and AAD without an operand work in base 10. */
const TEN: ImmediateOperand = { type: 'immediate', value: { number: 10n }, size: 0, strict: false, distance: undefined };

/** Writes operands in the order that the table has, and with the sizes that NASM takes as the same. */
function normalize(mnemonic: string, operands: readonly Operand[], mode: number): readonly Operand[] {
  const [a, b] = operands;
  if ((mnemonic === 'test' || mnemonic === 'xchg') && a?.type === 'register' && b) {
    if (b.type === 'memory') return [b, a];
    const accumulator = (operand: Operand) => operand.type === 'register' && ['ax', 'eax', 'rax'].includes(operand.name);
    if (mnemonic === 'xchg' && accumulator(a) && b.type === 'register') return [b, a];
    if (mnemonic === 'xchg' && b.type === 'register' && !accumulator(b)) return [b, a];
  }
  if ((mnemonic === 'aam' || mnemonic === 'aad') && operands.length === 0) return [TEN];
  if (mnemonic === 'imul' && operands.length === 2 && a?.type === 'register' && b?.type === 'immediate') return [a, a, b];
  // A selector in a 16-bit register needs no operand-size prefix.
  if (mnemonic === 'mov' && a?.type === 'register' && a.class === 'seg' && b?.type === 'register' && b.class === 'r16')
    return [a, wideSelector(b, mode)];
  if (noOperandPrefix.has(mnemonic) && a?.type === 'register' && a.class === 'r16') return [wideSelector(a, mode)];
  if (
    mnemonic === 'mov' &&
    a?.type === 'register' &&
    a.class === 'r64' &&
    b?.type === 'immediate' &&
    isPlain(b.value) &&
    !b.strict &&
    b.size === 0
  ) {
    // The upper half is cleared by a 32-bit move.
    const { number } = b.value;
    if (number >= 0n && number <= 0xffff_ffffn) return [wideSelector(a, 32), b];
  }
  return operands;
}

/** Memory alone doesn't say how wide the operation is. */
function checkSizeStated(usable: readonly Row[], operands: readonly Operand[]): void {
  const memory = operands.find((operand) => operand.type === 'memory');
  if (memory?.type !== 'memory' || memory.size !== 0 || memory.far) return;
  const hasRegister = operands.some((operand) => operand.type === 'register' && operand.name !== 'cl' && operand.name !== 'dx');
  const index = operands.indexOf(memory);
  const sizes = new Set(usable.map((row) => REGISTER_OR_MEMORY[row.kinds[index] ?? 0]?.[1] ?? 0));
  if (sizes.size > 1 && (!hasRegister || !sizes.has(0))) {
    const ambiguous =
      !hasRegister || new Set(usable.map((row) => row.kinds.filter((_, at) => at !== index).join())).size < usable.length;
    if (ambiguous && usable.length > 1 && !usable.every((row) => row.default64))
      throw new AssemblyError('The size of the operation is not stated.', 'Write byte, word, dword or qword before the "[".');
  }
}

function explain(request: EncodeRequest, list: readonly Row[], operands: readonly Operand[], tried: boolean): AssemblyError {
  const { mnemonic, mode } = request;
  const branch = operands.find((operand) => operand.type === 'immediate' && (operand.distance === 'short' || tried));
  if (branch && tried)
    return new AssemblyError(
      `The jump is too far for the short form of ${mnemonic}.`,
      'A short jump reaches 128 bytes back and 127 forward; write "near" or jump over a near jump.',
    );
  if (!list.some((row) => (row.modes & MODE_BIT[mode]) !== 0))
    return new AssemblyError(`${mnemonic} doesn't exist in ${mode}-bit mode.`, `This code stands under \`bits ${mode}\`.`);
  if (!list.some((row) => row.kinds.length === operands.length)) {
    const counts = [...new Set(list.map((row) => row.kinds.length))].sort();
    return new AssemblyError(
      `${mnemonic} doesn't take ${operands.length} operand${operands.length === 1 ? '' : 's'}.`,
      `It takes ${counts.join(' or ')}.`,
    );
  }
  return new AssemblyError(
    `${mnemonic} doesn't take this combination of operands in ${mode}-bit mode.`,
    'Check the sizes: registers of one size, or byte, word, dword, qword before memory.',
  );
}
