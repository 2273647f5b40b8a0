import { Flag } from '../state/cpu-state.ts';
import * as L from '../state/layout.ts';
import type { SystemContext } from './context.ts';

export const iopl = ({ state }: SystemContext): number => (state.get32(L.EFLAGS) >> 12) & 3;

/**
 * Writes the flags as IRET does at a privilege level: IOPL only at level 0, IF only with enough privilege, VM never here. `size`
 * is 2 or 4 bytes.
 */
export function setFlags(context: SystemContext, flags: number, size: 2 | 4, cpl: number): void {
  const { state } = context;
  let writable = Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.TF | Flag.DF | Flag.OF | Flag.NT;
  if (size === 4) writable |= Flag.AC | Flag.ID | Flag.RF;
  if (cpl === 0) writable |= Flag.IOPL;
  if (cpl <= iopl(context)) writable |= Flag.IF;
  if (cpl === 0 && size === 4) writable |= Flag.VIF | Flag.VIP;
  state.rflags = (state.rflags & ~writable) | (flags & writable);
  context.eventsChanged();
}
