import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { CpuidResult } from '../models/cpu-model.ts';
import { findMsr } from '../models/msr-table.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from './context.ts';
import { low32, readEdxEax, requireCpl0, undefinedInstruction, writeEdxEax } from './operands.ts';

const CR4_TSD = 4n;
const CR4_PCE = 0x100n;
const CR4_OSXSAVE = 1n << 18n;

/** CPUID as the model has it, with the bits that mirror state. */
export function cpuidOf(context: SystemContext, leaf: number, subleaf: number): CpuidResult {
  const { state } = context;
  const result = { ...context.model.cpuid(leaf, subleaf) };
  const apicId = state.base === 0 ? 0 : context.memory.vcpuCount > 1 ? indexOf(context) : 0;
  if (leaf === 1) {
    result.ebx = ((result.ebx & 0x00ff_ffff) | (apicId << 24)) >>> 0;
    if ((state.cr4 & CR4_OSXSAVE) !== 0n) result.ecx |= 1 << 27;
    // The APIC bit follows the enable bit of its base.
    if ((state.get64(L.MSR_APIC_BASE) & 0x800n) === 0n) result.edx &= ~(1 << 9);
  }
  if (leaf === 0xb) result.edx = apicId;
  return result;
}

function indexOf(context: SystemContext): number {
  for (let index = 0; index < context.memory.vcpuCount; index++)
    if (context.memory.vcpuBase(index) === context.state.base) return index;
  return 0;
}

export const cpuid: SystemHelper = (context) => {
  const { state } = context;
  const leaf = low32(state.gpr(0));
  const subleaf = low32(state.gpr(1));
  if (context.intercepts.cpuid) return { reason: 'cpuid', leaf, subleaf };
  const result = cpuidOf(context, leaf, subleaf);
  [result.eax, result.ecx, result.edx, result.ebx].forEach((value, index) => {
    state.setGpr(index, BigInt(value >>> 0));
  });
  return 'next';
};

export const rdmsr: SystemHelper = (context) => {
  requireCpl0(context);
  const msr = low32(context.state.gpr(1));
  const known = findMsr(msr);
  if (!known || context.intercepts.msr(msr, false)) return { reason: 'msr-read', msr };
  writeEdxEax(context, known.read(context));
  return 'next';
};

export const wrmsr: SystemHelper = (context) => {
  requireCpl0(context);
  const msr = low32(context.state.gpr(1));
  const value = readEdxEax(context);
  const known = findMsr(msr);
  if (!known || context.intercepts.msr(msr, true)) return { reason: 'msr-write', msr, value };
  known.write(context, value);
  return 'next';
};

function checkTsc(context: SystemContext): void {
  if ((context.state.cr4 & CR4_TSD) !== 0n && context.state.cpl !== 0) throw new GuestFault(Vector.GP, 0);
}

export const rdtsc: SystemHelper = (context) => {
  checkTsc(context);
  if (context.intercepts.rdtsc) return { reason: 'rdtsc', rdtscp: false };
  writeEdxEax(context, context.readTsc());
  return 'next';
};

export const rdtscp: SystemHelper = (context) => {
  if (!context.model.has('rdtscp')) undefinedInstruction();
  checkTsc(context);
  if (context.intercepts.rdtsc) return { reason: 'rdtsc', rdtscp: true };
  writeEdxEax(context, context.readTsc());
  context.state.setGpr(1, context.state.get64(L.MSR_TSC_AUX) & 0xffff_ffffn);
  return 'next';
};

/** There are no performance counters: every index is out of range. */
export const rdpmc: SystemHelper = (context) => {
  if ((context.state.cr4 & CR4_PCE) === 0n && context.state.cpl !== 0) throw new GuestFault(Vector.GP, 0);
  if (context.intercepts.rdpmc) return { reason: 'rdpmc' };
  throw new GuestFault(Vector.GP, 0);
};

export const xgetbv: SystemHelper = (context) => {
  if ((context.state.cr4 & CR4_OSXSAVE) === 0n) undefinedInstruction();
  if (low32(context.state.gpr(1)) !== 0) throw new GuestFault(Vector.GP, 0);
  writeEdxEax(context, context.state.get64(L.XCR0));
  return 'next';
};

export const xsetbv: SystemHelper = (context) => {
  if ((context.state.cr4 & CR4_OSXSAVE) === 0n) undefinedInstruction();
  requireCpl0(context);
  const index = low32(context.state.gpr(1));
  const value = readEdxEax(context);
  if (context.intercepts.xsetbv) return { reason: 'xsetbv', index, value };
  if (index !== 0 || (value & 1n) === 0n || value > 7n) throw new GuestFault(Vector.GP, 0);
  context.state.set64(L.XCR0, value);
  return 'next';
};
