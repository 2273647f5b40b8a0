import type { DecodedInstruction } from '../../x86/instruction.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from './context.ts';

/** What helpers share: reading and writing ModRM operands, privilege checks. */

export type Bytes = 1 | 2 | 4 | 8;

export function requireCpl0({ state }: SystemContext): void {
  if (state.cpl !== 0) throw new GuestFault(Vector.GP, 0);
}

export function undefinedInstruction(): never {
  throw new GuestFault(Vector.UD);
}

export function requireProtectedMode({ state }: SystemContext): void {
  if ((state.cr0 & 1n) === 0n || (state.rflags & (1 << 17)) !== 0) undefinedInstruction();
}

export const isRegister = (instruction: DecodedInstruction): boolean => instruction.modrm?.mod === 3;
export const rm = (instruction: DecodedInstruction): number => instruction.modrm?.rm ?? 0;
export const reg = (instruction: DecodedInstruction): number => instruction.modrm?.reg ?? 0;

export function bytesOf(bits: number): Bytes {
  return bits === 8 ? 1 : bits === 16 ? 2 : bits === 32 ? 4 : 8;
}

/** Reads the r/m operand with `size` bytes. */
/** Linear address of the memory operand, without checks. */
export function operandLinear(context: SystemContext, instruction: DecodedInstruction): bigint {
  const { segment } = instruction;
  const base = context.mode === 64 && segment < L.Segment.FS ? 0n : context.state.segment(segment).base;
  return BigInt.asUintN(64, base + context.effectiveAddress(instruction));
}

export function readRm(context: SystemContext, instruction: DecodedInstruction, size: Bytes): bigint {
  if (isRegister(instruction)) return BigInt.asUintN(size * 8, context.state.gpr(rm(instruction)));
  return context.readVirtual(instruction.segment, context.effectiveAddress(instruction), size);
}

/** Writes a general register as an operand of `size` bytes: 4 clear the upper half. */
export function writeRegister(context: SystemContext, number: number, size: Bytes, value: bigint): void {
  const { state } = context;
  if (size >= 4) state.setGpr(number, BigInt.asUintN(size * 8, value));
  else {
    const mask = (1n << BigInt(size * 8)) - 1n;
    state.setGpr(number, (state.gpr(number) & ~mask) | (value & mask));
  }
}

/** Writes the r/m operand: registers with the operand size, memory with `memorySize` bytes. */
export function writeRm(context: SystemContext, instruction: DecodedInstruction, value: bigint, memorySize: Bytes): void {
  if (isRegister(instruction)) writeRegister(context, rm(instruction), bytesOf(instruction.operandSize), value);
  else context.writeVirtual(instruction.segment, context.effectiveAddress(instruction), memorySize, value);
}

/** RIP of the next instruction. */
export function nextRip(context: SystemContext, instruction: DecodedInstruction): bigint {
  return BigInt.asUintN(context.mode === 64 ? 64 : 32, context.state.rip + BigInt(instruction.length));
}

export const low32 = (value: bigint): number => Number(value & 0xffff_ffffn);

/** RDX:RAX as written by RDMSR, RDTSC …: upper halves cleared. */
export function writeEdxEax(context: SystemContext, value: bigint): void {
  context.state.setGpr(0, value & 0xffff_ffffn);
  context.state.setGpr(2, (value >> 32n) & 0xffff_ffffn);
}

export function readEdxEax({ state }: SystemContext): bigint {
  return ((state.gpr(2) & 0xffff_ffffn) << 32n) | (state.gpr(0) & 0xffff_ffffn);
}
