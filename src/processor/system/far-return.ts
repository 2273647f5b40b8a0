import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { checkTarget, enterCode, is64Bit, requireCode } from '../segmentation/code-segment.ts';
import {
  isLong,
  isNull,
  isProtected,
  isVirtual8086,
  markAccessed,
  Rights,
  readDescriptor,
  rpl,
} from '../segmentation/descriptor.ts';
import { dropPrivilegedSegments, realModeSegment, stackSegment } from '../segmentation/load.ts';
import { StackCursor } from '../segmentation/stack.ts';
import { Flag, type SegmentValue } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import { switchTask } from '../task/task-switch.ts';
import type { SystemContext, SystemHelper } from './context.ts';
import { setFlags } from './flag-rules.ts';
import { nextRip } from './operands.ts';

type Word = 2 | 4 | 8;

const NMI_BLOCKED = 8;

const wordOf = (bits: number): Word => (bits === 16 ? 2 : bits === 64 ? 8 : 4);

/** SS for a return: may be null when the target is 64-bit code below level 3. */
function returnStack(context: SystemContext, selector: number, cpl: number, long: boolean): SegmentValue {
  if (isNull(selector) && long && cpl < 3 && rpl(selector) === cpl)
    return { selector, base: 0n, limit: 0xffff_ffff, rights: Rights.UNUSABLE | (cpl << 5) };
  return stackSegment(context, selector, cpl);
}

/** The code segment that a return goes to: not to an inner level. */
function returnCode(context: SystemContext, selector: number) {
  if (isNull(selector)) throw new GuestFault(Vector.GP, 0);
  const code = readDescriptor(context, selector);
  const level = rpl(selector);
  const error = selector & 0xfffc;
  const conforming = (code.type & Rights.CONFORMING) !== 0;
  if (level < context.state.cpl || !code.isCode || (conforming ? code.dpl > level : code.dpl !== level))
    throw new GuestFault(Vector.GP, error);
  requireCode(context, code);
  return code;
}

export const retFar: SystemHelper = (context, instruction) => {
  const { state } = context;
  const size = wordOf(instruction.operandSize);
  const release = instruction.opcode === 0xca ? Number(instruction.immediate & 0xffffn) : 0;
  const stack = StackCursor.current(context);
  // Read from the top down, as AMD's processors do: it decides which page faults first.
  const selector = Number(stack.peek(size, size) & 0xffffn);
  const rip = stack.peek(0, size);
  stack.release(2 * size);
  if (!isProtected(context)) {
    const segment = realModeSegment(context, L.Segment.CS, selector);
    if (rip > BigInt(segment.limit)) throw new GuestFault(Vector.GP, 0);
    stack.release(release);
    stack.commit();
    state.setSegment(L.Segment.CS, segment);
    state.rip = rip;
    context.modeChanged();
    return 'jumped';
  }
  const code = returnCode(context, selector);
  const level = rpl(selector);
  stack.release(release);
  if (level === state.cpl) {
    checkTarget(context, code, rip);
    markAccessed(context, code);
    stack.commit();
    enterCode(context, code, level, rip);
    return 'jumped';
  }
  const pointer = stack.pop(size);
  const ss = returnStack(context, Number(stack.pop(size) & 0xffffn), level, is64Bit(context, code.rights));
  checkTarget(context, code, rip);
  markAccessed(context, code);
  leaveToOuter(context, ss, pointer, is64Bit(context, code.rights));
  enterCode(context, code, level, rip);
  const outer = StackCursor.current(context);
  outer.release(release);
  outer.commit();
  dropPrivilegedSegments(context, level);
  return 'jumped';
};

/** Loads SS:rSP of an outer level. */
function leaveToOuter(context: SystemContext, ss: SegmentValue, pointer: bigint, long: boolean): void {
  const { state } = context;
  state.setSegment(L.Segment.SS, ss);
  const wide = long || (ss.rights & Rights.DB) !== 0;
  state.setGpr(4, wide ? BigInt.asUintN(long ? 64 : 32, pointer) : (state.gpr(4) & ~0xffffn) | (pointer & 0xffffn));
}

export const iret: SystemHelper = (context, instruction) => {
  const { state } = context;
  const size = wordOf(instruction.operandSize);
  if (isVirtual8086(context) && (state.rflags & Flag.IOPL) !== Flag.IOPL) throw new GuestFault(Vector.GP, 0);
  if (context.intercepts.svm.has('iret')) return { reason: 'svm', instruction: 'iret' };
  if (isProtected(context) && !isLong(context) && state.rflags & Flag.NT)
    return returnToTask(context, nextRip(context, instruction));
  if (isLong(context) && state.rflags & Flag.NT) throw new GuestFault(Vector.GP, 0);
  const stack = StackCursor.current(context);
  stack.look(5 * size);
  const flags = Number(stack.peek(2 * size, size) & 0xffff_ffffn);
  const selector = Number(stack.peek(size, size) & 0xffffn);
  const rip = stack.peek(0, size);
  stack.release(3 * size);
  if (!isProtected(context)) realReturn(context, stack, rip, selector, flags, size);
  else if (flags & Flag.VM && state.cpl === 0 && !isLong(context) && size === 4)
    virtualReturn(context, stack, rip, selector, flags);
  else protectedReturn(context, stack, rip, selector, flags, size);
  unblockNmis(context);
  return 'jumped';
};

/** NMIs may come again, unless a hypervisor that takes all of them keeps track of that itself. */
function unblockNmis(context: SystemContext): void {
  const { state, intercepts } = context;
  if (!intercepts.keepsNmisBlocked) state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) & ~NMI_BLOCKED);
  context.eventsChanged();
}

function returnToTask(context: SystemContext, next: bigint): ReturnType<SystemHelper> {
  const { state } = context;
  const link = Number(context.readLinear(state.segment(L.Segment.TR).base, 2, false));
  if (context.intercepts.taskSwitch) return { reason: 'task-switch', selector: link, source: 'iret' };
  switchTask(context, link, 'iret', next);
  unblockNmis(context);
  return 'jumped';
}

function realReturn(context: SystemContext, stack: StackCursor, rip: bigint, selector: number, flags: number, size: Word): void {
  const { state } = context;
  const segment = realModeSegment(context, L.Segment.CS, selector);
  if (rip > BigInt(segment.limit)) throw new GuestFault(Vector.GP, 0);
  const keepIopl = isVirtual8086(context);
  stack.commit();
  state.setSegment(L.Segment.CS, segment);
  state.rip = rip;
  setFlags(context, flags, size === 2 ? 2 : 4, keepIopl ? 3 : 0);
  context.modeChanged();
}

function virtualReturn(context: SystemContext, stack: StackCursor, rip: bigint, selector: number, flags: number): void {
  const { state } = context;
  const pointer = stack.pop(4);
  const selectors = [stack.pop(4), stack.pop(4), stack.pop(4), stack.pop(4), stack.pop(4)].map((value) =>
    Number(value & 0xffffn),
  );
  const [ss = 0, es = 0, ds = 0, fs = 0, gs = 0] = selectors;
  state.rflags = flags;
  state.cpl = 3;
  [es, selector, ss, ds, fs, gs].forEach((value, index) => {
    state.setSegment(index, { selector: value, base: BigInt(value << 4), limit: 0xffff, rights: 0xf3 });
  });
  state.setGpr(4, pointer);
  state.rip = rip & 0xffffn;
  context.modeChanged();
}

function protectedReturn(
  context: SystemContext,
  stack: StackCursor,
  rip: bigint,
  selector: number,
  flags: number,
  size: Word,
): void {
  const { state } = context;
  const code = returnCode(context, selector);
  const level = rpl(selector);
  const oldCpl = state.cpl;
  const long = is64Bit(context, code.rights);
  // In 64-bit mode SS:RSP is always popped.
  if (level === oldCpl && context.mode !== 64) {
    checkTarget(context, code, rip);
    markAccessed(context, code);
    stack.commit();
    setFlags(context, flags, size === 2 ? 2 : 4, oldCpl);
    enterCode(context, code, level, rip);
    return;
  }
  const pointer = stack.pop(size);
  const stackSelector = Number(stack.pop(size) & 0xffffn);
  checkTarget(context, code, rip);
  const ss = returnStack(context, stackSelector, level, long);
  markAccessed(context, code);
  setFlags(context, flags, size === 2 ? 2 : 4, oldCpl);
  leaveToOuter(context, ss, pointer, long);
  enterCode(context, code, level, rip);
  if (level > oldCpl) dropPrivilegedSegments(context, level);
}
