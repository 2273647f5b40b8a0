import { GuestFault, Vector } from '../faults/guest-fault.ts';
import * as L from '../state/layout.ts';
import type { SystemContext, SystemHelper } from './context.ts';
import { low32, undefinedInstruction, writeEdxEax } from './operands.ts';

const CR4_PKE = 1n << 22n;

function check({ state }: SystemContext): void {
  if ((state.cr4 & CR4_PKE) === 0n) undefinedInstruction();
  if (low32(state.gpr(1)) !== 0) throw new GuestFault(Vector.GP, 0);
}

/** RDPKRU (Intel SDM vol. 2). */
export const rdpkru: SystemHelper = (context) => {
  check(context);
  writeEdxEax(context, BigInt(context.state.get32(L.PKRU)));
  return 'next';
};

/** WRPKRU: rights that are taken away hold for the next access. */
export const wrpkru: SystemHelper = (context) => {
  check(context);
  if (low32(context.state.gpr(2)) !== 0) throw new GuestFault(Vector.GP, 0);
  context.state.set32(L.PKRU, low32(context.state.gpr(0)));
  context.flushTlb(true);
  return 'next';
};
