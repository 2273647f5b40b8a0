import type { Processor } from '../../processor/processor.ts';
import { IDTR_BASE } from '../../processor/state/layout.ts';
import { LowPages } from '../../programs/boot/low-pages.ts';
import { interruptTargets } from '../inspection/interrupt-table.ts';
import { deliveryFailure } from './delivery-failure.ts';

const STUB_SIZE = 16n;

/** Whether the IDT is still the one that a 64-bit guest starts with, whose handlers only halt. */
export function hasDefaultIdt(processor: Processor): boolean {
  return processor.mode === 64 && processor.state.get64(IDTR_BASE) === LowPages.IDT;
}

/**
 * Whether a vector leads to the handler that the boot protocol put there: the guest has none of its own. What can't even be
 * delivered to that one is a triple fault.
 */
export function isUnhandled(processor: Processor, vector: number): boolean {
  if (!hasDefaultIdt(processor)) return false;
  const stub = LowPages.EXCEPTION_STUBS + BigInt(vector) * STUB_SIZE;
  return interruptTargets(processor, [vector])[0] === stub && !deliveryFailure(processor, { vector });
}
