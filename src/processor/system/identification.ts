import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { CpuidResult } from '../models/cpu-model.ts';
import { layoutOf } from '../models/state-components.ts';
import { xdDisabled } from '../models/xd-disable.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from './context.ts';
import { readEdxEax, requireCpl0, rm, undefinedInstruction, writeEdxEax } from './operands.ts';

const MSR_EFER = 0xc000_0080;
const CR4_TSD = 4n;
const CR4_PCE = 0x100n;
const CR4_OSXSAVE = 1n << 18n;
const CR4_PKE = 1n << 22n;
const CPUID_APIC = 1 << 9;
const CPUID_OSPKE = 1 << 4;
const CPUID_OSXSAVE = 1 << 27;
const CPUID_HTT = 1 << 28;
const CPUID_NX = 1 << 20;
const APIC_ENABLE = 0x800n;

/** CPUID as the model has it, with what depends on the state and on the number of vCPUs: each is a core of one package. */
export function cpuidOf(context: SystemContext, leaf: number, subleaf: number): CpuidResult {
  const { state, memory } = context;
  const { eax, ebx, ecx, edx } = context.model.cpuid(leaf, subleaf);
  const result = { eax, ebx, ecx, edx };
  const cores = memory.vcpuCount;
  const apicId = indexOf(context);
  switch (leaf) {
    case 1:
      result.ebx = ((result.ebx & 0xffff) | (Math.min(cores, 255) << 16) | (apicId << 24)) >>> 0;
      if (cores > 1) result.edx = (result.edx | CPUID_HTT) >>> 0;
      if ((state.cr4 & CR4_OSXSAVE) !== 0n) result.ecx = (result.ecx | CPUID_OSXSAVE) >>> 0;
      // The APIC bit follows the enable bit of its base.
      if ((state.get64(L.MSR_APIC_BASE) & APIC_ENABLE) === 0n) result.edx = (result.edx & ~CPUID_APIC) >>> 0;
      break;
    case 4:
      if ((result.eax & 31) !== 0) result.eax = (result.eax | (Math.min(cores - 1, 63) << 26)) >>> 0;
      break;
    case 7:
      if (subleaf === 0 && (state.cr4 & CR4_PKE) !== 0n) result.ecx = (result.ecx | CPUID_OSPKE) >>> 0;
      break;
    case 0xb:
      result.edx = apicId;
      result.ecx = (result.ecx & ~0xff) | (subleaf & 0xff);
      if (subleaf === 1) {
        result.eax = 32 - Math.clz32(cores - 1);
        result.ebx = cores;
      }
      break;
    case 0xd: {
      const enabled = Number(state.get64(L.XCR0));
      const { vendor } = context.model;
      if (subleaf === 0 && context.model.has('xsave')) result.ebx = layoutOf(vendor, enabled, false).end;
      // IA32_XSS adds nothing.
      if (subleaf === 1 && (context.model.has('xsavec') || context.model.has('xsaves')))
        result.ebx = layoutOf(vendor, enabled, true).end;
      break;
    }
    case 0x8000_0001:
      if (xdDisabled(state)) result.edx = (result.edx & ~CPUID_NX) >>> 0;
      break;
    case 0x8000_0008:
      if (context.model.vendor === 'amd') result.ecx = cores - 1;
      break;
  }
  return result;
}

function indexOf({ memory, state }: SystemContext): number {
  return (state.base - memory.vcpuBase(0)) / memory.vcpuSize;
}

export const cpuid: SystemHelper = (context) => {
  const { state } = context;
  const leaf = state.gpr32(0);
  const subleaf = state.gpr32(1);
  if (context.intercepts.cpuid) return { reason: 'cpuid', leaf, subleaf };
  const result = cpuidOf(context, leaf, subleaf);
  state.setGpr32(0, result.eax);
  state.setGpr32(1, result.ecx);
  state.setGpr32(2, result.edx);
  state.setGpr32(3, result.ebx);
  return 'next';
};

export const rdmsr: SystemHelper = (context) => {
  requireCpl0(context);
  const msr = context.state.gpr32(1);
  const known = context.model.msr(msr);
  if (!known || context.intercepts.msr(msr, false)) return { reason: 'msr-read', msr };
  writeEdxEax(context, known.read(context));
  return 'next';
};

export const wrmsr: SystemHelper = (context) => {
  requireCpl0(context);
  const msr = context.state.gpr32(1);
  const value = readEdxEax(context);
  const known = context.model.msr(msr);
  if (!known || context.intercepts.msr(msr, true)) return { reason: 'msr-write', msr, value };
  known.write(context, value);
  if (msr === MSR_EFER && context.intercepts.eferTrap) context.leaveBehind({ reason: 'msr-write', msr, value, trap: true });
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
  if (context.intercepts.rdtscp) return { reason: 'rdtsc', rdtscp: true };
  writeEdxEax(context, context.readTsc());
  context.state.setGpr(1, context.state.get64(L.MSR_TSC_AUX) & 0xffff_ffffn);
  return 'next';
};

export const rdpid: SystemHelper = (context, instruction) => {
  context.state.setGpr(rm(instruction), context.state.get64(L.MSR_TSC_AUX) & 0xffff_ffffn);
  return 'next';
};

/** There are no performance counters: every index is out of range. */
export const rdpmc: SystemHelper = (context) => {
  if ((context.state.cr4 & CR4_PCE) === 0n && context.state.cpl !== 0) throw new GuestFault(Vector.GP, 0);
  if (context.intercepts.rdpmc) return { reason: 'rdpmc' };
  throw new GuestFault(Vector.GP, 0);
};
