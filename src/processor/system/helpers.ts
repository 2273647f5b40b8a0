import { legacyStateHelpers } from '../saved-state/fxsave.ts';
import { xgetbv, xsetbv } from '../saved-state/xcr.ts';
import { extendedStateHelpers } from '../saved-state/xsave.ts';
import * as L from '../state/layout.ts';
import { x87Helpers } from '../x87/helpers.ts';
import type { SystemHelper } from './context.ts';
import * as control from './control-registers.ts';
import * as debug from './debug-moves.ts';
import * as tables from './descriptor-tables.ts';
import { iret, retFar } from './far-return.ts';
import { callFar, jmpFar } from './far-transfer.ts';
import * as fast from './fast-calls.ts';
import * as identification from './identification.ts';
import * as interrupts from './interrupts.ts';
import * as nesting from './nesting.ts';
import { operandLinear, requireCpl0, undefinedInstruction } from './operands.ts';
import * as ports from './port-io.ts';
import { rdpkru, wrpkru } from './protection-keys.ts';
import { rdrand } from './random.ts';
import { enter, popMemory } from './stack-frames.ts';

const HALTED = 1;

const hlt: SystemHelper = (context) => {
  requireCpl0(context);
  if (context.intercepts.hlt) return { reason: 'hlt' };
  const waits = context.virtualInterrupt !== undefined || context.virtualNmi;
  if (context.intercepts.idleHlt && !waits) return { reason: 'hlt', idle: true };
  context.state.set32(L.ACTIVITY, HALTED);
  return 'next';
};

const pause: SystemHelper = (context) => {
  const { intercepts, state } = context;
  const { pause: always, spin } = intercepts;
  if (always || spin?.isTooLong(state.cpl, state.ticks)) return { reason: 'pause' };
  context.paused = true;
  return 'next';
};

const invlpg: SystemHelper = (context, instruction) => {
  requireCpl0(context);
  const address = operandLinear(context, instruction);
  if (context.intercepts.invlpg) return { reason: 'invlpg', address };
  // Translations follow the page tables by themselves: there is nothing stale to drop.
  return 'next';
};

const cacheControl =
  (instruction: 'invd' | 'wbinvd'): SystemHelper =>
  (context) => {
    requireCpl0(context);
    return context.intercepts[instruction] ? { reason: 'wbinvd', instruction } : 'next';
  };

const hypercall =
  (instruction: 'vmcall' | 'vmmcall'): SystemHelper =>
  (context) =>
    context.intercepts.hypercall ? { reason: 'hypercall', instruction } : undefinedInstruction();

/** MONITOR and MWAIT are not advertised: #UD, unless a hypervisor wants to see them. */
const watching =
  (reason: 'monitor' | 'mwait'): SystemHelper =>
  (context) =>
    context.intercepts[reason] && context.state.cpl === 0 ? { reason } : undefinedInstruction();

const undefinedHelper: SystemHelper = () => undefinedInstruction();

/** All instructions that are done in TypeScript, by the names that their definitions give. */
export const systemHelpers: Readonly<Record<string, SystemHelper>> = {
  call_far: callFar,
  jmp_far: jmpFar,
  ret_far: retFar,
  iret,
  int_n: interrupts.intN,
  int3: interrupts.int3,
  int1: interrupts.int1,
  into: interrupts.into,
  bound: interrupts.bound,
  syscall: fast.syscall,
  sysret: fast.sysret,
  sysenter: fast.sysenter,
  sysexit: fast.sysexit,
  rdfsbase: fast.readBase(L.Segment.FS),
  rdgsbase: fast.readBase(L.Segment.GS),
  wrfsbase: fast.writeBase(L.Segment.FS),
  wrgsbase: fast.writeBase(L.Segment.GS),
  lgdt: tables.lgdt,
  lidt: tables.lidt,
  sgdt: tables.sgdt,
  sidt: tables.sidt,
  lldt: tables.lldt,
  ltr: tables.ltr,
  sldt: tables.sldt,
  str: tables.str,
  mov_to_seg: tables.movToSegment,
  pop_seg: tables.popSegment,
  load_far_pointer: tables.loadFarPointer,
  lar: tables.lar,
  lsl: tables.lsl,
  verr: tables.verr,
  verw: tables.verw,
  arpl: tables.arpl,
  mov_to_cr: control.movToControl,
  mov_from_cr: control.movFromControl,
  clts: control.clts,
  lmsw: control.lmsw,
  smsw: control.smsw,
  mov_to_dr: debug.movToDebug,
  mov_from_dr: debug.movFromDebug,
  cpuid: identification.cpuid,
  rdmsr: identification.rdmsr,
  wrmsr: identification.wrmsr,
  rdtsc: identification.rdtsc,
  rdtscp: identification.rdtscp,
  rdpid: identification.rdpid,
  rdrand,
  rdpkru,
  wrpkru,
  invpcid: control.invpcid,
  rdpmc: identification.rdpmc,
  xgetbv,
  xsetbv,
  in: ports.input,
  out: ports.output,
  ins: ports.inputString,
  outs: ports.outputString,
  enter,
  pop_memory: popMemory,
  hlt,
  pause,
  invlpg,
  invd: cacheControl('invd'),
  wbinvd: cacheControl('wbinvd'),
  vmcall: hypercall('vmcall'),
  vmmcall: hypercall('vmmcall'),
  monitor: watching('monitor'),
  mwait: watching('mwait'),
  ...x87Helpers,
  ...legacyStateHelpers,
  ...extendedStateHelpers,
  vmx_instruction: nesting.vmxInstruction,
  svm_instruction: nesting.svmInstruction,
  getsec: undefinedHelper,
  rsm: undefinedHelper,
  ud: undefinedHelper,
};
