import { isCanonical } from '../../x86/address.ts';
import { GuestFault, pushesErrorCode, Vector } from '../faults/guest-fault.ts';
import { interceptsException } from '../intercepts.ts';
import { checkTarget, enterCode, is64Bit, requireCode } from '../segmentation/code-segment.ts';
import { isLong, isNull, markAccessed, type parseDescriptor, Rights, readDescriptor, rpl } from '../segmentation/descriptor.ts';
import { realModeSegment, stackSegment } from '../segmentation/load.ts';
import { StackCursor } from '../segmentation/stack.ts';
import { Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import { AccessExit, type SystemContext } from '../system/context.ts';
import { switchTask } from '../task/task-switch.ts';
import { type Gate, readGate } from './gate.ts';

/** An event to deliver through the IVT or IDT. `external` and `nmi` come from outside the instruction stream. */
export interface GuestEvent {
  readonly vector: number;
  readonly kind: 'external' | 'nmi' | 'exception' | 'software' | 'int1' | 'int3';
  readonly errorCode?: number;
  readonly linearAddress?: bigint;
  readonly dr6?: bigint;
  /** Of a software event: bytes that RIP has been advanced by. */
  readonly length?: number;
}

export interface FaultLink {
  readonly vector: number;
  readonly errorCode?: number;
  readonly payload?: bigint;
  /** What it was, unless an exception. */
  readonly kind?: Exclude<GuestEvent['kind'], 'exception'>;
  /** The fault that its delivery raised. */
  readonly raised?: { readonly vector: number; readonly errorCode?: number; readonly payload?: bigint };
}

/** Where a delivery was left for an access that can't be made now. */
export interface InterruptedDelivery {
  /** What was being delivered: the event itself, or the exception that its delivery led to. */
  readonly event: GuestEvent;
  readonly chain: readonly FaultLink[];
  readonly cr2: bigint | undefined;
  readonly before: Before;
}

/** Delivery failed for good. `cr2` is what CR2 held before the first page fault of the chain. */
export interface FailedDelivery {
  readonly chain: readonly FaultLink[];
  readonly cr2?: bigint;
}

const CONTRIBUTORY: ReadonlySet<number> = new Set([Vector.DE, Vector.TS, Vector.NP, Vector.SS, Vector.GP, Vector.CP]);
const DR7_GD = 1n << 13n;
/** Faults while delivering faults, after which there is no hope. */
const LONGEST_CHAIN = 32;
/** STI and MOV SS. */
const SHADOW = 3;
const RIGHTS_NULL_SS = Rights.UNUSABLE;

/**
 * Delivers an event, and the exceptions that delivering it raises (double fault: Intel SDM vol. 3, table 7-5). RIP must be
 * what the handler returns to. When even the double fault can't be delivered, the registers are as before the call, but for CR2, DR6 and
 * DR7, and the chain of faults is returned. A fault that is intercepted is thrown, with the event whose delivery raised it. `faultRip` is
 * given for software events: a fault in delivering one is a fault of the instruction at that RIP, thrown with RIP set back to it.
 * An access that leaves is thrown too; the delivery goes on where it was left when it is called with that.
 */
export function deliverEvent(
  context: SystemContext,
  event: GuestEvent,
  faultRip?: bigint,
  left?: InterruptedDelivery,
): 'delivered' | FailedDelivery {
  const chain: FaultLink[] = [...(left?.chain ?? [])];
  let current = left?.event ?? event;
  let cr2 = left?.cr2;
  const before: Before = left?.before ?? { words: undefined };
  for (;;) {
    const { vector, errorCode, kind } = current;
    const link = {
      vector,
      errorCode,
      payload: current.linearAddress ?? current.dr6,
      kind: kind === 'exception' ? undefined : kind,
    };
    if (vector === Vector.PF && kind === 'exception') cr2 ??= context.state.get64(L.CR2);
    try {
      deliverOne(context, current, before);
      return 'delivered';
    } catch (error) {
      if (error instanceof AccessExit) error.delivery = { event: current, chain, cr2, before };
      if (!(error instanceof GuestFault)) throw error;
      error.during = current;
      if (faultRip !== undefined && current === event) {
        context.state.rip = faultRip;
        throw error;
      }
      if (interceptsException(context.intercepts, error.vector, error.errorCode)) throw error;
      // The second of two page faults overwrites CR2, also where they make a double fault (Intel SDM vol. 3, 7.15, "Interrupt 14").
      if (error.vector === Vector.PF && error.linearAddress !== undefined) context.state.set64(L.CR2, error.linearAddress);
      const raised = { vector: error.vector, errorCode: error.errorCode, payload: error.linearAddress ?? error.dr6 };
      chain.push({ ...link, raised });
      if (current.vector === Vector.DF && current.kind === 'exception') return failed(context, before, chain, cr2);
      // Benign faults (#AC, #DB) can raise themselves for ever; a real processor hangs, this one shuts down.
      if (chain.length >= LONGEST_CHAIN) return failed(context, before, chain, cr2);
      current = combine(current, error);
      // A double fault that leaves does so by itself, not in the delivery of something (Intel SDM vol. 3, 28.2.4).
      if (current.vector === Vector.DF && interceptsException(context.intercepts, Vector.DF))
        throw new GuestFault(Vector.DF, current.errorCode);
    }
  }
}

/** The registers before the first task switch, if there was one. */
interface Before {
  words: BigUint64Array | undefined;
}

/** After a task switch that was committed the registers are again those of the task that met the fault. */
function failed(context: SystemContext, { words }: Before, chain: readonly FaultLink[], cr2?: bigint): FailedDelivery {
  if (words) restoreRegisters(context, words);
  return { chain, cr2 };
}

function restoreRegisters(context: SystemContext, words: BigUint64Array): void {
  context.state.u64.set(words);
  context.flushTlb(true);
  context.debugRegistersChanged();
  context.modeChanged();
  context.eventsChanged();
}

function combine(first: GuestEvent, second: GuestFault): GuestEvent {
  const benign = first.kind !== 'exception' || !(CONTRIBUTORY.has(first.vector) || first.vector === Vector.PF);
  const doubles = !benign && (CONTRIBUTORY.has(second.vector) || (second.vector === Vector.PF && first.vector === Vector.PF));
  if (doubles) return { vector: Vector.DF, kind: 'exception', errorCode: 0 };
  return {
    vector: second.vector,
    kind: 'exception',
    errorCode: second.errorCode,
    linearAddress: second.linearAddress,
    dr6: second.dr6,
  };
}

/** CR2 and DR6 are written when the exception is delivered (and stay written when delivery fails). */
function sideEffects(context: SystemContext, event: GuestEvent): void {
  const { state } = context;
  if (event.kind !== 'exception') return;
  if (event.vector === Vector.PF && event.linearAddress !== undefined) state.set64(L.CR2, event.linearAddress);
  if (event.vector === Vector.DB && event.dr6 !== undefined) {
    state.set64(L.DR + 48, (state.get64(L.DR + 48) & ~0xfn) | event.dr6);
    state.set64(L.DR + 56, state.get64(L.DR + 56) & ~DR7_GD);
  }
}

function deliverOne(context: SystemContext, event: GuestEvent, before: Before): void {
  sideEffects(context, event);
  if ((context.state.cr0 & 1n) === 0n) deliverReal(context, event);
  else deliverProtected(context, event, before);
  const { state } = context;
  state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) & ~SHADOW);
  context.eventsChanged();
}

/** Through the interrupt vector table. */
function deliverReal(context: SystemContext, event: GuestEvent): void {
  const { state } = context;
  const entry = event.vector * 4;
  if (entry + 3 > state.get32(L.IDTR_LIMIT)) throw new GuestFault(Vector.GP, 0);
  const table = state.get64(L.IDTR_BASE);
  const offset = context.readLinear(table + BigInt(entry), 2, false);
  const selector = Number(context.readLinear(table + BigInt(entry + 2), 2, false));
  const stack = StackCursor.current(context);
  stack.push(BigInt(state.rflags & 0xffff), 2);
  stack.push(BigInt(state.segment(L.Segment.CS).selector), 2);
  stack.push(state.rip, 2);
  stack.commit();
  state.rflags &= ~(Flag.IF | Flag.TF | Flag.AC | Flag.RF);
  state.setSegment(L.Segment.CS, realModeSegment(context, L.Segment.CS, selector));
  state.rip = offset;
  context.modeChanged();
}

/**
 * Flags as pushed: RF is set for faults, so that breakpoints of the instruction don't trap again. For a debug exception it is
 * the handler's to set (Intel SDM vol. 3, 18.3.1.1), and #DF is no fault.
 */
function pushedFlags(context: SystemContext, event: GuestEvent): bigint {
  const isFault =
    event.kind === 'exception' && event.vector !== Vector.DB && event.vector !== Vector.DF && event.vector !== Vector.MC;
  return BigInt(context.state.rflags | (isFault ? Flag.RF : 0));
}

function deliverProtected(context: SystemContext, event: GuestEvent, before: Before): void {
  const software = event.kind === 'software' || event.kind === 'int3';
  const external = event.kind === 'software' || event.kind === 'int3' ? 0 : 1;
  const gate = readGate(context, event.vector, external);
  if (software && gate.dpl < context.state.cpl) throw new GuestFault(Vector.GP, event.vector * 8 + 2);
  if (!gate.present) throw new GuestFault(Vector.NP, event.vector * 8 + 2 + external);
  const hasError = event.kind === 'exception' && pushesErrorCode(event.vector);
  if (gate.kind === 'task') {
    if (context.intercepts.taskSwitch)
      throw new AccessExit({ reason: 'task-switch', selector: gate.selector, source: 'gate', errorCode: event.errorCode });
    before.words ??= context.state.u64.slice(0, L.ARCHITECTURAL_END >> 3);
    switchTask(context, gate.selector, 'gate', context.state.rip, external);
    if (hasError) {
      // There is no way back behind a task switch.
      context.committed(() => {
        const stack = StackCursor.current(context);
        stack.push(BigInt(event.errorCode ?? 0), context.mode === 32 ? 4 : 2);
        stack.commit();
      });
    }
    return;
  }
  if (isNull(gate.selector)) throw new GuestFault(Vector.GP, external);
  const code = readDescriptor(context, gate.selector, Vector.GP, external);
  requireCode(context, code, Vector.GP, external);
  const error = (gate.selector & 0xfffc) | external;
  const { state } = context;
  if (code.dpl > state.cpl) throw new GuestFault(Vector.GP, error);
  if (isLong(context)) {
    if (!is64Bit(context, code.rights)) throw new GuestFault(Vector.GP, error);
    deliverLong(context, event, gate, code, hasError, external);
  } else deliverLegacy(context, event, gate, code, hasError, external);
}

function newFlags(context: SystemContext, gate: Gate): number {
  const cleared = Flag.TF | Flag.NT | Flag.RF | Flag.VM | (gate.kind === 'interrupt' ? Flag.IF : 0);
  return context.state.rflags & ~cleared;
}

function deliverLong(
  context: SystemContext,
  event: GuestEvent,
  gate: Gate,
  code: ReturnType<typeof parseDescriptor>,
  hasError: boolean,
  external: number,
): void {
  const { state } = context;
  const conforming = (code.type & Rights.CONFORMING) !== 0;
  const cpl = conforming ? state.cpl : code.dpl;
  const inner = cpl < state.cpl;
  let pointer = state.gpr(4);
  if (gate.ist > 0) pointer = tssPointer(context, 0x24 + (gate.ist - 1) * 8, external);
  else if (inner) pointer = tssPointer(context, 4 + cpl * 8, external);
  if (!isCanonical(gate.offset)) throw new GuestFault(Vector.GP, external);
  const oldSs = state.segment(L.Segment.SS);
  const stack = new StackCursor(context, undefined, pointer & ~15n, 64, cpl === 3, { vector: Vector.SS, code: external });
  const cs = state.get32(L.SEGMENTS + L.Segment.CS * L.SEGMENT_SIZE + L.SEG_SELECTOR);
  const words = [BigInt(oldSs.selector), state.gpr(4), pushedFlags(context, event), BigInt(cs), state.rip];
  if (hasError) words.push(BigInt(event.errorCode ?? 0));
  stack.pushAll(words);
  markAccessed(context, code);
  if (inner) state.setSegment(L.Segment.SS, { selector: cpl, base: 0n, limit: 0xffff_ffff, rights: RIGHTS_NULL_SS | (cpl << 5) });
  state.rflags = newFlags(context, gate);
  state.setGpr(4, stack.pointer);
  enterCode(context, code, cpl, gate.offset);
}

/** A stack pointer out of a 64-bit TSS. */
function tssPointer(context: SystemContext, offset: number, external: number): bigint {
  const tss = context.state.segment(L.Segment.TR);
  if (offset + 7 > tss.limit) throw new GuestFault(Vector.TS, (tss.selector & 0xfffc) | external);
  const pointer = context.readLinear(BigInt.asUintN(64, tss.base + BigInt(offset)), 8, false);
  if (!isCanonical(pointer)) throw new GuestFault(Vector.SS, external);
  return pointer;
}

/** SS:ESP for a privilege level out of a 16- or 32-bit TSS. */
export function innerStack(context: SystemContext, cpl: number, external: number) {
  const { state } = context;
  const tss = state.segment(L.Segment.TR);
  const wide = (tss.rights & 8) !== 0;
  const at = wide ? 4 + cpl * 8 : 2 + cpl * 4;
  const error = (tss.selector & 0xfffc) | external;
  if (at + (wide ? 5 : 3) > tss.limit) throw new GuestFault(Vector.TS, error);
  const pointer = context.readLinear(tss.base + BigInt(at), wide ? 4 : 2, false);
  const selector = Number(context.readLinear(tss.base + BigInt(at + (wide ? 4 : 2)), 2, false));
  if (isNull(selector)) throw new GuestFault(Vector.TS, external);
  if (rpl(selector) !== cpl) throw new GuestFault(Vector.TS, (selector & 0xfffc) | external);
  const segment = stackSegment(context, selector, cpl, Vector.TS, external);
  return { segment, pointer };
}

function deliverLegacy(
  context: SystemContext,
  event: GuestEvent,
  gate: Gate,
  code: ReturnType<typeof parseDescriptor>,
  hasError: boolean,
  external: number,
): void {
  const { state } = context;
  const size = gate.wide ? 4 : 2;
  const virtual = (state.get32(L.EFLAGS) & Flag.VM) !== 0;
  const conforming = (code.type & Rights.CONFORMING) !== 0;
  const cpl = conforming ? state.cpl : code.dpl;
  if (virtual && cpl !== 0) throw new GuestFault(Vector.GP, (code.selector & 0xfffc) | external);
  const flags = pushedFlags(context, event);
  const oldSs = state.segment(L.Segment.SS);
  const oldSp = state.gpr(4) & 0xffff_ffffn;
  let stack: StackCursor;
  let newSs: ReturnType<typeof innerStack>['segment'] | undefined;
  if (cpl < state.cpl || virtual) {
    const inner = innerStack(context, cpl, external);
    newSs = inner.segment;
    stack = StackCursor.of(context, inner.segment, inner.pointer, false, cpl);
    checkTarget(context, code, gate.offset, external);
    if (virtual)
      for (const index of [L.Segment.GS, L.Segment.FS, L.Segment.DS, L.Segment.ES])
        stack.push(BigInt(state.segment(index).selector), size);
    stack.push(BigInt(oldSs.selector), size);
    stack.push(oldSp, size);
  } else {
    stack = StackCursor.current(context);
    checkTarget(context, code, gate.offset, external);
  }
  stack.push(flags, size);
  stack.push(BigInt(state.segment(L.Segment.CS).selector), size);
  stack.push(state.rip, size);
  if (hasError) stack.push(BigInt(event.errorCode ?? 0), size);
  markAccessed(context, code);
  state.rflags = newFlags(context, gate);
  if (virtual)
    for (const index of [L.Segment.GS, L.Segment.FS, L.Segment.DS, L.Segment.ES])
      state.setSegment(index, { selector: 0, base: 0n, limit: 0, rights: Rights.UNUSABLE });
  if (newSs) state.setSegment(L.Segment.SS, newSs);
  stack.commit();
  enterCode(context, code, cpl, gate.offset);
}
