import { GuestFault, Vector } from '../faults/guest-fault.ts';
import * as L from '../state/layout.ts';
import type { SystemHelper } from '../system/context.ts';
import { requireNoException } from './availability.ts';
import { TOP_MASK } from './words.ts';

const CR0_EM = 4n;
const CR0_TS = 8n;

/** EMMS: the end of a stretch of MMX instructions. Faults as all of them do. */
export const emms: SystemHelper = (context) => {
  const { state } = context;
  if ((state.cr0 & CR0_EM) !== 0n) throw new GuestFault(Vector.UD);
  if ((state.cr0 & CR0_TS) !== 0n) throw new GuestFault(Vector.NM);
  requireNoException(context);
  state.set32(L.X87_STATUS, state.get32(L.X87_STATUS) & ~TOP_MASK);
  state.set32(L.X87_TAGS, 0);
  return 'next';
};
