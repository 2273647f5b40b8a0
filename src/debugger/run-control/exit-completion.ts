import { interruptTargets } from '../inspection/interrupt-table.ts';
import type { RunControl } from './control.ts';
import type { SessionEvent } from './events.ts';

const EXCEPTIONS = Array.from({ length: 32 }, (_, vector) => vector);

/**
 * After a handler is done: an access that it completed needs its instruction to run again, and an event that it injected
 * is to be delivered. `rip` is where the exit happened. An event when there is something to report, else 'stepped'.
 */
export function completeExit(control: RunControl, rip: bigint): SessionEvent | 'stepped' {
  const { processor } = control.vcpu();
  if (processor.state.rip !== rip) return 'stepped';
  control.enterRun(interruptTargets(processor, EXCEPTIONS));
  processor.resumePast();
  const stop = control.run({ instructions: 1, onlyVcpu: control.current });
  if (stop.kind === 'breakpoint') return control.judgeHere(stop.vcpu) ?? 'stepped';
  return control.after(stop) ?? 'stepped';
}
