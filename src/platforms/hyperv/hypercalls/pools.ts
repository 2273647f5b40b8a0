import type { Hyperv } from '../hyperv.ts';
import type { Refused } from '../partitions/refused.ts';
import { SELF } from '../partitions/target.ts';
import type { HypercallCall } from './call.ts';

/** The pool of the caller's own partition, or of a child of it, that a call names. */
export function poolOf(hyperv: Hyperv, call: HypercallCall) {
  const id = call.value('partition');
  return hyperv.children.poolOf(id === SELF ? hyperv.partitionId : id);
}

/** Why a call has no pool. */
export const NO_POOL = 'the caller has no child of this number';

/** Does something with each element of this round, up to the first that is refused. */
export function eachElement(call: HypercallCall, act: (index: number) => Refused | undefined): Refused | undefined {
  for (let index = call.repStart; index < call.repEnd; index++) {
    const refused = act(index);
    if (refused) return refused;
    call.repsCompleted++;
  }
  return undefined;
}
