import type { DecodedInstruction } from '../../x86/instruction.ts';
import { innerStack } from '../events/deliver.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { checkTarget, enterCode, is64Bit, requireCode } from '../segmentation/code-segment.ts';
import {
  type Descriptor,
  isLong,
  isNull,
  isProtected,
  markAccessed,
  Rights,
  readDescriptor,
  rpl,
  upperHalf,
} from '../segmentation/descriptor.ts';
import { realModeSegment } from '../segmentation/load.ts';
import { StackCursor } from '../segmentation/stack.ts';
import * as L from '../state/layout.ts';
import { switchTask } from '../task/task-switch.ts';
import type { SystemContext, SystemHelper } from './context.ts';
import { bytesOf, isRegister, nextRip, undefinedInstruction } from './operands.ts';

const CALL_GATE_16 = 4;
const TASK_GATE = 5;
const CALL_GATE_32 = 12;
const AVAILABLE_TSS: ReadonlySet<number> = new Set([1, 9]);
const RIGHTS_NULL_SS = Rights.UNUSABLE;

interface Target {
  readonly selector: number;
  readonly offset: bigint;
}

/** Reads the far pointer of CALL and JMP: immediate, or in memory (offset first). */
function farTarget(context: SystemContext, instruction: DecodedInstruction): Target {
  const { operandSize } = instruction;
  if (!instruction.modrm) return { offset: BigInt.asUintN(operandSize, instruction.immediate), selector: instruction.immediate2 };
  if (isRegister(instruction)) undefinedInstruction();
  // AMD's processors read a 32-bit offset under REX.W; Intel's a 64-bit one.
  const bits = operandSize === 64 && context.model.vendor === 'amd' ? 32 : operandSize;
  const bytes = bytesOf(bits);
  const address = context.effectiveAddress(instruction);
  const offset = context.readVirtual(instruction.segment, address, bytes);
  const second = BigInt.asUintN(instruction.addressSize, address + BigInt(bytes));
  return { offset, selector: Number(context.readVirtual(instruction.segment, second, 2)) };
}

function pushSize(instruction: DecodedInstruction): 2 | 4 | 8 {
  return instruction.operandSize === 16 ? 2 : instruction.operandSize === 64 ? 8 : 4;
}

function realTransfer(context: SystemContext, target: Target): void {
  const { state } = context;
  const segment = realModeSegment(context, L.Segment.CS, target.selector);
  if (target.offset > BigInt(segment.limit)) throw new GuestFault(Vector.GP, 0);
  state.setSegment(L.Segment.CS, segment);
  state.rip = target.offset;
  context.modeChanged();
}

/** Checks that a direct far transfer to a code segment is allowed, and gives the privilege level that it runs at. */
function directCode(context: SystemContext, code: Descriptor): void {
  const { cpl } = context.state;
  const error = code.selector & 0xfffc;
  if (!code.isCode) throw new GuestFault(Vector.GP, error);
  const conforming = (code.type & Rights.CONFORMING) !== 0;
  if (conforming ? code.dpl > cpl : rpl(code.selector) > cpl || code.dpl !== cpl) throw new GuestFault(Vector.GP, error);
  requireCode(context, code);
}

function gateOf(context: SystemContext, gate: Descriptor): { selector: number; offset: bigint; parameters: number } {
  const { cpl } = context.state;
  const error = gate.selector & 0xfffc;
  if (gate.dpl < cpl || gate.dpl < rpl(gate.selector)) throw new GuestFault(Vector.GP, error);
  if (!gate.present) throw new GuestFault(Vector.NP, error);
  let offset = BigInt(gate.low & 0xffff);
  if (gate.type === CALL_GATE_32) offset |= BigInt((gate.high & 0xffff_0000) >>> 0);
  if (isLong(context)) offset = upperHalf(context, gate, offset);
  return { selector: gate.low >>> 16, offset, parameters: gate.high & 0x1f };
}

function isCallGate(context: SystemContext, type: number): boolean {
  return type === CALL_GATE_32 || (type === CALL_GATE_16 && !isLong(context));
}

/** Task switches leave when intercepted; otherwise they are done here. */
function taskTransfer(context: SystemContext, selector: number, source: 'call' | 'jmp', next: bigint): ReturnType<SystemHelper> {
  if (context.intercepts.taskSwitch) return { reason: 'task-switch', selector, source };
  switchTask(context, selector, source, next);
  return 'jumped';
}

function systemTransfer(
  context: SystemContext,
  descriptor: Descriptor,
  source: 'call' | 'jmp',
  next: bigint,
): ReturnType<SystemHelper> {
  const { cpl } = context.state;
  const error = descriptor.selector & 0xfffc;
  if (isLong(context) || (descriptor.type !== TASK_GATE && !AVAILABLE_TSS.has(descriptor.type)))
    throw new GuestFault(Vector.GP, error);
  if (descriptor.dpl < cpl || descriptor.dpl < rpl(descriptor.selector)) throw new GuestFault(Vector.GP, error);
  if (!descriptor.present) throw new GuestFault(Vector.NP, error);
  const selector = descriptor.type === TASK_GATE ? descriptor.low >>> 16 : descriptor.selector;
  return taskTransfer(context, selector, source, next);
}

export const jmpFar: SystemHelper = (context, instruction) => {
  const target = farTarget(context, instruction);
  if (!isProtected(context)) {
    realTransfer(context, target);
    return 'jumped';
  }
  if (isNull(target.selector)) throw new GuestFault(Vector.GP, 0);
  const descriptor = readDescriptor(context, target.selector);
  if (!descriptor.isSystem) {
    directCode(context, descriptor);
    checkTarget(context, descriptor, target.offset);
    enterCode(context, descriptor, context.state.cpl, target.offset);
    return 'jumped';
  }
  if (!isCallGate(context, descriptor.type)) return systemTransfer(context, descriptor, 'jmp', nextRip(context, instruction));
  const gate = gateOf(context, descriptor);
  if (isNull(gate.selector)) throw new GuestFault(Vector.GP, 0);
  const code = readDescriptor(context, gate.selector);
  const conforming = (code.type & Rights.CONFORMING) !== 0;
  if (!code.isCode || (conforming ? code.dpl > context.state.cpl : code.dpl !== context.state.cpl))
    throw new GuestFault(Vector.GP, gate.selector & 0xfffc);
  requireCode(context, code);
  checkTarget(context, code, gate.offset);
  enterCode(context, code, context.state.cpl, gate.offset);
  return 'jumped';
};

export const callFar: SystemHelper = (context, instruction) => {
  const { state } = context;
  const target = farTarget(context, instruction);
  const next = nextRip(context, instruction);
  const size = pushSize(instruction);
  const oldCs = BigInt(state.segment(L.Segment.CS).selector);
  if (!isProtected(context)) {
    const stack = StackCursor.current(context);
    stack.push(oldCs, size);
    stack.push(next, size);
    realTransfer(context, target);
    stack.commit();
    return 'jumped';
  }
  if (isNull(target.selector)) throw new GuestFault(Vector.GP, 0);
  const descriptor = readDescriptor(context, target.selector);
  if (!descriptor.isSystem) {
    directCode(context, descriptor);
    const stack = StackCursor.current(context);
    stack.push(oldCs, size);
    stack.push(next, size);
    checkTarget(context, descriptor, target.offset);
    markAccessed(context, descriptor);
    stack.commit();
    enterCode(context, descriptor, state.cpl, target.offset);
    return 'jumped';
  }
  if (!isCallGate(context, descriptor.type)) return systemTransfer(context, descriptor, 'call', next);
  callThroughGate(context, descriptor, next, oldCs);
  return 'jumped';
};

function callThroughGate(context: SystemContext, descriptor: Descriptor, next: bigint, oldCs: bigint): void {
  const { state } = context;
  const gate = gateOf(context, descriptor);
  const size = isLong(context) ? 8 : descriptor.type === CALL_GATE_32 ? 4 : 2;
  if (isNull(gate.selector)) throw new GuestFault(Vector.GP, 0);
  const code = readDescriptor(context, gate.selector);
  const error = gate.selector & 0xfffc;
  if (!code.isCode || code.dpl > state.cpl || (isLong(context) && !is64Bit(context, code.rights)))
    throw new GuestFault(Vector.GP, error);
  requireCode(context, code);
  const conforming = (code.type & Rights.CONFORMING) !== 0;
  const cpl = conforming ? state.cpl : code.dpl;
  if (cpl === state.cpl) {
    const stack = StackCursor.current(context);
    stack.push(oldCs, size);
    stack.push(next, size);
    checkTarget(context, code, gate.offset);
    markAccessed(context, code);
    stack.commit();
    enterCode(context, code, cpl, gate.offset);
    return;
  }
  const oldSs = BigInt(state.segment(L.Segment.SS).selector);
  const oldSp = state.gpr(4);
  if (isLong(context)) {
    const tss = state.segment(L.Segment.TR);
    if (4 + cpl * 8 + 7 > tss.limit) throw new GuestFault(Vector.TS, tss.selector & 0xfffc);
    const pointer = context.readLinear(tss.base + BigInt(4 + cpl * 8), 8, false);
    const stack = new StackCursor(context, undefined, pointer, 64, cpl === 3);
    for (const value of [oldSs, oldSp, oldCs, next]) stack.push(value, 8);
    checkTarget(context, code, gate.offset);
    markAccessed(context, code);
    state.setSegment(L.Segment.SS, { selector: cpl, base: 0n, limit: 0xffff_ffff, rights: RIGHTS_NULL_SS | (cpl << 5) });
    state.setGpr(4, stack.pointer);
  } else {
    const inner = innerStack(context, cpl, 0);
    const stack = StackCursor.of(context, inner.segment, inner.pointer, false, cpl);
    stack.push(oldSs, size);
    stack.push(oldSp, size);
    const parameters = StackCursor.current(context);
    const values = Array.from({ length: gate.parameters }, () => parameters.pop(size)).reverse();
    for (const value of values) stack.push(value, size);
    stack.push(oldCs, size);
    stack.push(next, size);
    checkTarget(context, code, gate.offset);
    markAccessed(context, code);
    state.setSegment(L.Segment.SS, inner.segment);
    stack.commit();
  }
  enterCode(context, code, cpl, gate.offset);
}
