import type { DecodedInstruction } from '../../x86/instruction.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from './context.ts';
import { reg, requireCpl0, rm, undefinedInstruction } from './operands.ts';

const CR4_DE = 8n;
const DR7_GD = 1n << 13n;
const DR6_BD = 1n << 13n;
const DR6_FIXED = 0xffff_0ff0n;
const DR6_WRITABLE = 0xe00fn;

/** DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them undefined (Intel SDM vol. 3, 18.2.2). */
function debugRegister(context: SystemContext, instruction: DecodedInstruction): number {
  const number = reg(instruction);
  if (number > 7) undefinedInstruction();
  if (number !== 4 && number !== 5) return number;
  if ((context.state.cr4 & CR4_DE) !== 0n) undefinedInstruction();
  return number + 2;
}

/** General detection: comes after a hypervisor's interest in the access (Intel SDM vol. 3, 26.1.1). */
function checkGeneralDetect(context: SystemContext): void {
  if ((context.state.get64(L.DR + 56) & DR7_GD) !== 0n) throw new GuestFault(Vector.DB, undefined, undefined, DR6_BD);
}

export const movToDebug: SystemHelper = (context, instruction) => {
  const { state } = context;
  const register = debugRegister(context, instruction);
  requireCpl0(context);
  if (context.intercepts.dr.write & (1 << register)) return { reason: 'dr', register, write: true, gpr: rm(instruction) };
  checkGeneralDetect(context);
  const raw = state.gpr(rm(instruction));
  const value = context.mode === 64 ? raw : raw & 0xffff_ffffn;
  writeDebugRegister(context, register, value);
  return 'next';
};

/** Writes DR0–DR3, DR6 or DR7 with their fixed bits. Throws #GP(0) for what can't be written. */
export function writeDebugRegister(context: SystemContext, register: number, value: bigint): void {
  const { state } = context;
  if (register >= 6 && value >> 32n !== 0n) throw new GuestFault(Vector.GP, 0);
  if (register === 6) state.set64(L.DR + 48, (value & DR6_WRITABLE) | DR6_FIXED);
  else if (register === 7) state.set64(L.DR + 56, (value & 0xffff_2bffn) | 0x400n);
  else state.set64(L.DR + register * 8, value);
  context.debugRegistersChanged();
}

export const movFromDebug: SystemHelper = (context, instruction) => {
  const { state } = context;
  const register = debugRegister(context, instruction);
  requireCpl0(context);
  if (context.intercepts.dr.read & (1 << register)) return { reason: 'dr', register, write: false, gpr: rm(instruction) };
  checkGeneralDetect(context);
  const value = state.get64(L.DR + register * 8);
  state.setGpr(rm(instruction), context.mode === 64 ? value : value & 0xffff_ffffn);
  return 'next';
};
