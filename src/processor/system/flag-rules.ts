import { GuestFault, Vector } from '../faults/guest-fault.ts';
import { isVirtual8086 } from '../segmentation/descriptor.ts';
import { StackCursor } from '../segmentation/stack.ts';
import { Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from './context.ts';

const STI_SHADOW = 1;

export const iopl = ({ state }: SystemContext): number => (state.get32(L.EFLAGS) >> 12) & 3;

/**
 * Writes the flags as POPF and IRET do at a privilege level: IOPL only at level 0, IF only with enough privilege, VM, VIP
 * and VIF never here. `size` is 2 or 4 bytes.
 */
export function setFlags(context: SystemContext, flags: number, size: 2 | 4, cpl: number, isReturn: boolean): void {
  const { state } = context;
  let writable = Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.TF | Flag.DF | Flag.OF | Flag.NT;
  if (size === 4) writable |= Flag.AC | Flag.ID | (isReturn ? Flag.RF : 0);
  if (cpl === 0) writable |= Flag.IOPL;
  if (cpl <= iopl(context)) writable |= Flag.IF;
  if (cpl === 0 && isReturn && size === 4) writable |= Flag.VIF | Flag.VIP;
  const old = state.rflags;
  let result = (old & ~writable) | (flags & writable);
  // POPF leaves RF clear.
  if (!isReturn && size === 4) result &= ~Flag.RF;
  state.rflags = result;
  context.eventsChanged();
}

export const cli: SystemHelper = (context) => {
  const { state } = context;
  if (state.cpl > iopl(context)) throw new GuestFault(Vector.GP, 0);
  state.rflags &= ~Flag.IF;
  return 'next';
};

export const sti: SystemHelper = (context) => {
  const { state } = context;
  if (state.cpl > iopl(context)) throw new GuestFault(Vector.GP, 0);
  if ((state.rflags & Flag.IF) === 0) {
    state.rflags |= Flag.IF;
    // The next instruction runs before an interrupt is taken.
    state.set32(L.INTERRUPTIBILITY, state.get32(L.INTERRUPTIBILITY) | STI_SHADOW);
  }
  context.eventsChanged();
  return 'next';
};

function requireVirtualIopl(context: SystemContext): void {
  if (isVirtual8086(context) && iopl(context) < 3) throw new GuestFault(Vector.GP, 0);
}

export const pushf: SystemHelper = (context, instruction) => {
  requireVirtualIopl(context);
  const { operandSize } = instruction;
  const flags = context.state.rflags & ~(Flag.RF | Flag.VM);
  const stack = StackCursor.current(context);
  stack.push(BigInt(flags >>> 0), operandSize === 16 ? 2 : operandSize === 64 ? 8 : 4);
  stack.commit();
  return 'next';
};

export const popf: SystemHelper = (context, instruction) => {
  requireVirtualIopl(context);
  const { operandSize } = instruction;
  const stack = StackCursor.current(context);
  const value = Number(stack.pop(operandSize === 16 ? 2 : operandSize === 64 ? 8 : 4) & 0xffff_ffffn);
  stack.commit();
  setFlags(context, value, operandSize === 16 ? 2 : 4, context.state.cpl, false);
  return 'next';
};

/** STAC and CLAC. */
export const setAlignmentFlag =
  (on: boolean): SystemHelper =>
  (context) => {
    const { state } = context;
    if (!context.model.has('smap') || state.cpl !== 0) throw new GuestFault(Vector.UD);
    state.rflags = on ? state.rflags | Flag.AC : state.rflags & ~Flag.AC;
    context.eventsChanged();
    return 'next';
  };
