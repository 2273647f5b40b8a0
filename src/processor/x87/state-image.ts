import type { DecodedInstruction } from '../../x86/instruction.ts';
import { EXTENDED80, unpackParts } from '../softfloat/format.ts';
import { type CpuState, Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from '../system/context.ts';
import { requireAvailable, requireNoException } from './availability.ts';
import { initialize, setControl } from './control.ts';
import { EXCEPTIONS, TOP_SHIFT } from './words.ts';

/**
 * FNSTENV, FLDENV, FNSAVE and FRSTOR. Their images have words of the operand size (16 or 32 bits), and pointers as selector and
 * offset in protected mode, as linear addresses in real and virtual-8086 mode (Intel SDM vol. 1, 8.1.10).
 */

const FIELDS = 7;
const REGISTERS_SIZE = 80;

interface ImageForm {
  readonly size: 2 | 4;
  readonly isProtected: boolean;
}

function formOf({ state }: SystemContext, instruction: DecodedInstruction): ImageForm {
  const isProtected = (state.cr0 & 1n) !== 0n && (state.rflags & Flag.VM) === 0;
  return { size: instruction.operandSize === 16 ? 2 : 4, isProtected };
}

/** The tag word with two bits a register: 0 valid, 1 zero, 2 special, 3 empty. */
export function fullTags(state: CpuState): number {
  const tags = state.get32(L.X87_TAGS);
  let full = 0;
  for (let register = 0; register < 8; register++) {
    const at = L.X87_REGISTERS + register * L.X87_REGISTER_SIZE;
    const { kind, denormal } = unpackParts(EXTENDED80, state.get32(at + 8) & 0xffff, state.get64(at));
    const content = kind === 'zero' ? 1 : kind === 'finite' && !denormal ? 0 : 2;
    full |= (tags & (1 << register) ? content : 3) << (register * 2);
  }
  return full;
}

/** A bit for each register that isn't tagged empty. */
export function shortTags(full: number): number {
  let tags = 0;
  for (let register = 0; register < 8; register++) if (((full >> (register * 2)) & 3) !== 3) tags |= 1 << register;
  return tags;
}

/** The seven words of an environment, 32 bits each; the caller drops upper halves. */
function environmentWords({ state }: SystemContext, { isProtected }: ImageForm): readonly number[] {
  const ip = Number(state.get64(L.X87_IP) & 0xffff_ffffn);
  const dp = Number(state.get64(L.X87_DP) & 0xffff_ffffn);
  const cs = state.get32(L.X87_CS);
  const ds = state.get32(L.X87_DS);
  const opcode = state.get32(L.X87_OPCODE);
  const words = [state.get32(L.X87_CONTROL), state.get32(L.X87_STATUS), fullTags(state)].map((word) => word | 0xffff_0000);
  if (isProtected) return [...words, ip, cs | (opcode << 16), dp, ds | 0xffff_0000];
  const code = cs * 16 + ip;
  const data = ds * 16 + dp;
  const high = (linear: number): number => (Math.floor(linear / 0x1_0000) & 0xffff) << 12;
  return [...words, code | 0xffff_0000, high(code) | opcode, data | 0xffff_0000, high(data)];
}

function at(context: SystemContext, instruction: DecodedInstruction, displacement: number): bigint {
  return BigInt.asUintN(instruction.addressSize, context.effectiveAddress(instruction) + BigInt(displacement));
}

function writeEnvironment(context: SystemContext, instruction: DecodedInstruction, length: number): void {
  const form = formOf(context, instruction);
  context.probeWrite(instruction.segment, at(context, instruction, 0), length);
  for (const [index, word] of environmentWords(context, form).entries())
    context.writeVirtual(
      instruction.segment,
      at(context, instruction, index * form.size),
      form.size,
      BigInt.asUintN(form.size * 8, BigInt(word)),
    );
}

function readEnvironment(context: SystemContext, instruction: DecodedInstruction): readonly number[] {
  const { size } = formOf(context, instruction);
  return Array.from({ length: FIELDS }, (_, index) =>
    Number(context.readVirtual(instruction.segment, at(context, instruction, index * size), size)),
  );
}

function setEnvironment(context: SystemContext, instruction: DecodedInstruction, words: readonly number[]): void {
  const { state } = context;
  const { size, isProtected } = formOf(context, instruction);
  const [control = 0, status = 0, tags = 0, ip = 0, code = 0, dp = 0, data = 0] = words;
  state.set32(L.X87_STATUS, status & 0xffff);
  setControl(context, control);
  state.set32(L.X87_TAGS, shortTags(tags));
  if (isProtected) {
    state.set64(L.X87_IP, BigInt(ip));
    state.set64(L.X87_DP, BigInt(dp));
    state.set32(L.X87_CS, code & 0xffff);
    state.set32(L.X87_DS, data & 0xffff);
    // Images with 16-bit words have no place for it.
    state.set32(L.X87_OPCODE, size === 4 ? (code >>> 16) & 0x7ff : 0);
    return;
  }
  const linear = (low: number, high: number): bigint => BigInt(low & 0xffff) | (BigInt((high >>> 12) & 0xffff) << 16n);
  state.set64(L.X87_IP, linear(ip, code));
  state.set64(L.X87_DP, linear(dp, data));
  state.set32(L.X87_CS, 0);
  state.set32(L.X87_DS, 0);
  state.set32(L.X87_OPCODE, code & 0x7ff);
}

/** Place of ST(index) in the state. */
function register({ state }: SystemContext, index: number): number {
  const top = state.get32(L.X87_STATUS) >> TOP_SHIFT;
  return L.X87_REGISTERS + ((top + index) & 7) * L.X87_REGISTER_SIZE;
}

const storeEnvironment: SystemHelper = (context, instruction) => {
  requireAvailable(context);
  writeEnvironment(context, instruction, FIELDS * formOf(context, instruction).size);
  setControl(context, context.state.get32(L.X87_CONTROL) | EXCEPTIONS);
  return 'next';
};

const loadEnvironment: SystemHelper = (context, instruction) => {
  requireAvailable(context);
  requireNoException(context);
  setEnvironment(context, instruction, readEnvironment(context, instruction));
  return 'next';
};

const save: SystemHelper = (context, instruction) => {
  requireAvailable(context);
  const length = FIELDS * formOf(context, instruction).size;
  writeEnvironment(context, instruction, length + REGISTERS_SIZE);
  const { state } = context;
  for (let index = 0; index < 8; index++) {
    const from = register(context, index);
    const displacement = length + index * 10;
    context.writeVirtual(instruction.segment, at(context, instruction, displacement), 8, state.get64(from));
    context.writeVirtual(instruction.segment, at(context, instruction, displacement + 8), 2, state.get64(from + 8) & 0xffffn);
  }
  initialize(context);
  return 'next';
};

const restore: SystemHelper = (context, instruction) => {
  requireAvailable(context);
  requireNoException(context);
  const { state } = context;
  const words = readEnvironment(context, instruction);
  const length = FIELDS * formOf(context, instruction).size;
  const values = Array.from({ length: 8 }, (_, index) => {
    const displacement = length + index * 10;
    const significand = context.readVirtual(instruction.segment, at(context, instruction, displacement), 8);
    return { significand, high: context.readVirtual(instruction.segment, at(context, instruction, displacement + 8), 2) };
  });
  setEnvironment(context, instruction, words);
  for (const [index, { significand, high }] of values.entries()) {
    const to = register(context, index);
    state.set64(to, significand);
    state.set64(to + 8, high);
  }
  return 'next';
};

export const stateImageHelpers: Readonly<Record<string, SystemHelper>> = {
  x87_store_environment: storeEnvironment,
  x87_load_environment: loadEnvironment,
  x87_save: save,
  x87_restore: restore,
};
