import { isCanonical } from '../../x86/address.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { setCode } from '../segmentation/code-segment.ts';
import { isLong } from '../segmentation/descriptor.ts';
import { Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from './context.ts';
import { nextRip, requireCpl0, rm, undefinedInstruction, writeRegister } from './operands.ts';

/** SYSCALL, SYSRET, SYSENTER, SYSEXIT: flat segments by convention, nothing is read from tables (Intel SDM vol. 2B; AMD APM vol. 3). */

const EFER_SCE = 1n;
const CODE_32 = 0xc09b;
const CODE_64 = 0xa09b;
const DATA = 0xc093;
const FLAT = 0xffff_ffff;

function setStack(context: SystemContext, selector: number, dpl: number): void {
  context.state.setSegment(L.Segment.SS, { selector, base: 0n, limit: FLAT, rights: DATA | (dpl << 5) });
}

function flatCode(context: SystemContext, selector: number, dpl: number, long: boolean, rip: bigint): void {
  setCode(context, { selector, base: 0n, limit: FLAT, rights: (long ? CODE_64 : CODE_32) | (dpl << 5) }, dpl, rip);
}

export const syscall: SystemHelper = (context, instruction) => {
  const { state } = context;
  // Intel's processors know SYSCALL in 64-bit mode only.
  if ((state.efer & EFER_SCE) === 0n || (context.model.vendor === 'intel' && context.mode !== 64)) undefinedInstruction();
  if ((state.cr0 & 1n) === 0n) undefinedInstruction();
  const star = state.get64(L.MSR_STAR);
  const next = nextRip(context, instruction);
  const selector = Number((star >> 32n) & 0xfffcn);
  if (isLong(context)) {
    const { rflags, mode } = { rflags: state.rflags, mode: context.mode };
    state.setGpr(1, next);
    state.setGpr(11, BigInt(rflags & ~Flag.RF));
    state.rflags = rflags & ~Number(state.get64(L.MSR_SFMASK) & 0xffff_ffffn) & ~Flag.RF;
    setStack(context, selector + 8, 0);
    flatCode(context, selector, 0, true, state.get64(mode === 64 ? L.MSR_LSTAR : L.MSR_CSTAR));
  } else {
    state.setGpr(1, next & 0xffff_ffffn);
    state.rflags &= ~(Flag.IF | Flag.VM | Flag.RF);
    setStack(context, selector + 8, 0);
    flatCode(context, selector, 0, false, star & 0xffff_ffffn);
  }
  context.eventsChanged();
  return 'jumped';
};

export const sysret: SystemHelper = (context, instruction) => {
  const { state } = context;
  if ((state.efer & EFER_SCE) === 0n || (context.model.vendor === 'intel' && context.mode !== 64)) undefinedInstruction();
  if ((state.cr0 & 1n) === 0n) undefinedInstruction();
  requireCpl0(context);
  const base = Number((state.get64(L.MSR_STAR) >> 48n) & 0xffffn);
  const rcx = state.gpr(1);
  const to64 = instruction.operandSize === 64;
  if (to64 && context.model.vendor === 'intel' && !isCanonical(rcx)) throw new GuestFault(Vector.GP, 0);
  if (isLong(context)) {
    const loadable = 0x3c7fd7;
    state.rflags = (Number(state.gpr(11) & 0xffff_ffffn) & loadable) | 2;
  } else state.rflags |= Flag.IF;
  if (context.model.vendor === 'intel') setStack(context, ((base + 8) | 3) & 0xffff, 3);
  else {
    // AMD's processors load only the selector of SS.
    const ss = state.segment(L.Segment.SS);
    state.setSegment(L.Segment.SS, { ...ss, selector: (base + 8) & 0xffff, rights: (ss.rights & ~(1 << 16)) | DATA | 0x60 });
  }
  const selector = ((to64 ? base + 16 : base) | 3) & 0xffff;
  flatCode(context, selector, 3, to64, to64 ? rcx : rcx & 0xffff_ffffn);
  context.eventsChanged();
  return 'jumped';
};

function requireSysenter(context: SystemContext): number {
  const cs = Number(context.state.get64(L.MSR_SYSENTER_CS) & 0xffffn);
  // AMD's processors have no SYSENTER in long mode.
  if (context.model.vendor === 'amd' && isLong(context)) undefinedInstruction();
  if ((context.state.cr0 & 1n) === 0n || (cs & 0xfffc) === 0) throw new GuestFault(Vector.GP, 0);
  return cs & 0xfffc;
}

export const sysenter: SystemHelper = (context) => {
  const { state } = context;
  const cs = requireSysenter(context);
  const long = isLong(context);
  state.rflags &= ~(Flag.VM | Flag.IF | Flag.RF);
  setStack(context, cs + 8, 0);
  const mask = long ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  state.setGpr(4, state.get64(L.MSR_SYSENTER_ESP) & mask);
  flatCode(context, cs, 0, long, state.get64(L.MSR_SYSENTER_EIP) & mask);
  context.eventsChanged();
  return 'jumped';
};

export const sysexit: SystemHelper = (context, instruction) => {
  const { state } = context;
  const cs = requireSysenter(context);
  requireCpl0(context);
  const to64 = instruction.operandSize === 64;
  const rip = state.gpr(2);
  const rsp = state.gpr(1);
  if (to64 && (!isCanonical(rip) || !isCanonical(rsp))) throw new GuestFault(Vector.GP, 0);
  setStack(context, (cs + (to64 ? 40 : 24)) | 3, 3);
  state.setGpr(4, to64 ? rsp : rsp & 0xffff_ffffn);
  flatCode(context, (cs + (to64 ? 32 : 16)) | 3, 3, to64, to64 ? rip : rip & 0xffff_ffffn);
  context.eventsChanged();
  return 'jumped';
};

const CR4_FSGSBASE = 1n << 16n;

/** RDFSBASE and the like: in 64-bit mode, where CR4 allows them at any level. */
const requireBases = (context: SystemContext): void => {
  if (context.mode !== 64 || (context.state.cr4 & CR4_FSGSBASE) === 0n) undefinedInstruction();
};

export const readBase =
  (segment: number): SystemHelper =>
  (context, instruction) => {
    requireBases(context);
    writeRegister(context, rm(instruction), instruction.operandSize === 64 ? 8 : 4, context.state.segment(segment).base);
    return 'next';
  };

export const writeBase =
  (segment: number): SystemHelper =>
  (context, instruction) => {
    requireBases(context);
    const { state } = context;
    const base = BigInt.asUintN(instruction.operandSize === 64 ? 64 : 32, state.gpr(rm(instruction)));
    if (!isCanonical(base)) throw new GuestFault(Vector.GP, 0);
    state.setSegment(segment, { ...state.segment(segment), base });
    context.modeChanged();
    return 'next';
  };
