import * as L from '../state/layout.ts';
import type { SystemHelper } from '../system/context.ts';
import { requireNoException } from './availability.ts';
import { TOP_MASK } from './words.ts';

/** EMMS: the end of a stretch of MMX instructions. */
export const emms: SystemHelper = (context) => {
  requireNoException(context);
  const { state } = context;
  state.set32(L.X87_STATUS, state.get32(L.X87_STATUS) & ~TOP_MASK);
  state.set32(L.X87_TAGS, 0);
  return 'next';
};
