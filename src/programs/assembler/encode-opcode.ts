import { Encoder, Instruction, OpCodeOperandKind as Kind, OpKind, Register, RoundingControl } from 'iced-x86';
import type { EncodeRequest } from './encoder.ts';
import { BRANCHES, fitsSigned, isPlain } from './match.ts';
import type { Opcode } from './opcodes.ts';
import type { MemoryOperand, Operand } from './operands.ts';

const encoders = new Map<number, Encoder>();

function encoderFor(mode: number): Encoder {
  let encoder = encoders.get(mode);
  if (!encoder) {
    encoder = new Encoder(mode);
    encoders.set(mode, encoder);
  }
  return encoder;
}

const ROUNDING: Readonly<Record<string, RoundingControl>> = {
  'rn-sae': RoundingControl.RoundToNearest,
  'rd-sae': RoundingControl.RoundDown,
  'ru-sae': RoundingControl.RoundUp,
  'rz-sae': RoundingControl.RoundTowardZero,
};

/** Encodes with one opcode; undefined when it can't hold the values (a branch that is too far, say). */
export function encodeOpcode(
  opcode: Opcode,
  operands: readonly Operand[],
  request: EncodeRequest,
  rounding: string | undefined,
): Uint8Array | undefined {
  const instruction = new Instruction();
  const encoder = encoderFor(request.mode);
  try {
    instruction.code = opcode.code;
    opcode.kinds.forEach((kind, index) => {
      const operand = operands[index];
      if (operand) setOperand(instruction, index, kind, operand);
    });
    if (opcode.evex) setDecorations(instruction, operands, rounding);
    encoder.encode(instruction, request.address + BigInt(request.prefixes.length));
    return encoder.takeBuffer();
  } catch {
    // After a failed encoding the encoder is replaced, so nothing is left over.
    encoder.free();
    encoders.delete(request.mode);
    return undefined;
  } finally {
    instruction.free();
  }
}

function setDecorations(instruction: Instruction, operands: readonly Operand[], rounding: string | undefined): void {
  for (const operand of operands) {
    if (operand.type !== 'register' && operand.type !== 'memory') continue;
    if (operand.mask !== undefined) instruction.opMask = operand.mask;
    if (operand.zeroing) instruction.zeroingMasking = true;
    if (operand.broadcast !== undefined) instruction.isBroadcast = true;
  }
  if (rounding === 'sae') instruction.suppressAllExceptions = true;
  else if (rounding !== undefined) instruction.roundingControl = ROUNDING[rounding] ?? RoundingControl.None;
}

const IMMEDIATE_KINDS: Readonly<Record<number, OpKind>> = {
  [Kind.imm8]: OpKind.Immediate8,
  [Kind.imm4_m2z]: OpKind.Immediate8,
  [Kind.imm8_const_1]: OpKind.Immediate8,
  [Kind.imm8sex16]: OpKind.Immediate8to16,
  [Kind.imm8sex32]: OpKind.Immediate8to32,
  [Kind.imm8sex64]: OpKind.Immediate8to64,
  [Kind.imm16]: OpKind.Immediate16,
  [Kind.imm32]: OpKind.Immediate32,
  [Kind.imm32sex64]: OpKind.Immediate32to64,
  [Kind.imm64]: OpKind.Immediate64,
};

function setOperand(instruction: Instruction, index: number, kind: number, operand: Operand): void {
  if (operand.type === 'register') {
    instruction.setOpKind(index, OpKind.Register);
    instruction.setOpRegister(index, operand.register);
  } else if (operand.type === 'memory') setMemory(instruction, index, operand);
  else if (operand.type === 'far') {
    const wide = kind === Kind.farbr4_2;
    instruction.setOpKind(index, wide ? OpKind.FarBranch32 : OpKind.FarBranch16);
    instruction.farBranchSelector = Number(operand.selector.number & 0xffffn);
    if (wide) instruction.farBranch32 = Number(operand.offset.number & 0xffff_ffffn);
    else instruction.farBranch16 = Number(operand.offset.number & 0xffffn);
  } else if (operand.type === 'immediate') {
    const branch = BRANCHES[kind];
    if (branch) setBranch(instruction, index, branch.size, operand.value.number);
    else setImmediate(instruction, index, kind, operand.value.number);
  }
}

function setBranch(instruction: Instruction, index: number, size: number, target: bigint): void {
  instruction.setOpKind(index, size === 16 ? OpKind.NearBranch16 : size === 32 ? OpKind.NearBranch32 : OpKind.NearBranch64);
  if (size === 16) instruction.nearBranch16 = Number(target & 0xffffn);
  else if (size === 32) instruction.nearBranch32 = Number(target & 0xffff_ffffn);
  else instruction.nearBranch64 = BigInt.asUintN(64, target);
}

function setImmediate(instruction: Instruction, index: number, kind: number, number: bigint): void {
  const opKind = IMMEDIATE_KINDS[kind] ?? OpKind.Immediate8;
  // The second immediate of ENTER has a slot of its own.
  const before = index > 0 ? instruction.opKind(index - 1) : undefined;
  const second = (before === OpKind.Immediate16 || before === OpKind.Immediate8) && kind === Kind.imm8;
  instruction.setOpKind(index, second ? OpKind.Immediate8_2nd : opKind);
  if (second) instruction.immediate8_2nd = Number(number & 0xffn);
  else if (opKind === OpKind.Immediate8) instruction.immediate8 = Number(number & 0xffn);
  else if (kind === Kind.imm8sex16) instruction.immediate8to16 = Number(BigInt.asIntN(8, number));
  else if (kind === Kind.imm8sex32) instruction.immediate8to32 = Number(BigInt.asIntN(8, number));
  else if (kind === Kind.imm8sex64) instruction.immediate8to64 = BigInt.asIntN(8, number);
  else if (kind === Kind.imm16) instruction.immediate16 = Number(number & 0xffffn);
  else if (kind === Kind.imm32) instruction.immediate32 = Number(number & 0xffff_ffffn);
  else if (kind === Kind.imm32sex64) instruction.immediate32to64 = BigInt.asIntN(32, number);
  else instruction.immediate64 = BigInt.asUintN(64, number);
}

function setMemory(instruction: Instruction, index: number, memory: MemoryOperand): void {
  instruction.setOpKind(index, OpKind.Memory);
  if (memory.segment !== 0) instruction.segmentPrefix = memory.segment;
  const number = memory.displacement?.number ?? 0n;
  if (memory.relative) {
    instruction.memoryBase = memory.addressSize === 32 ? Register.EIP : Register.RIP;
    instruction.memoryDisplSize = memory.addressSize === 32 ? 4 : 8;
    instruction.memoryDisplacement = BigInt.asUintN(64, number);
    return;
  }
  const { base, addressSize, displacement, displacementSize } = memory;
  instruction.memoryBase = base?.register ?? Register.None;
  instruction.memoryIndex = memory.index?.register ?? Register.None;
  instruction.memoryIndexScale = memory.scale;
  const bytes = addressSize / 8;
  const wrapped = BigInt.asIntN(addressSize, number);
  instruction.memoryDisplacement = BigInt.asUintN(64, wrapped);
  if (base === undefined && memory.index === undefined) {
    instruction.memoryDisplSize = bytes;
    // An address alone is not sign-extended in 16- and 32-bit addressing.
    if (addressSize !== 64) instruction.memoryDisplacement = BigInt.asUintN(addressSize, number);
  } else if (base === undefined) instruction.memoryDisplSize = bytes;
  else if (displacementSize === 0 && (displacement === undefined || (isPlain(displacement) && wrapped === 0n)))
    instruction.memoryDisplSize = 0;
  else {
    const small = (displacement === undefined || isPlain(displacement)) && fitsSigned(wrapped, 8);
    const byte = displacementSize === 1 || (displacementSize === 0 && small);
    if (byte) instruction.memoryDisplacement = BigInt.asUintN(64, BigInt.asIntN(8, number));
    instruction.memoryDisplSize = byte ? 1 : bytes;
  }
}
