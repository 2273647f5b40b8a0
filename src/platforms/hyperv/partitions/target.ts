import { HvStatus } from '../abi/status.ts';
import type { Hyperv } from '../hyperv.ts';
import type { ChildPartition } from './child-partition.ts';
import { type Refused, refused } from './refused.ts';

/** HV_PARTITION_ID_SELF. */
export const SELF = 0xffff_ffff_ffff_ffffn;
/** HV_VP_INDEX_SELF. */
export const SELF_VP = 0xffff_fffe;

/** The partition that a call names: the caller's own, or one of its children, which must be active. */
export function targetPartition(caller: Hyperv, id: bigint): Hyperv | Refused {
  if (id === SELF || id === caller.partitionId) return caller;
  const child = childOf(caller, id);
  if ('status' in child) return child;
  const { running, state } = child;
  return running?.hyperv ?? refused(HvStatus.INVALID_PARTITION_STATE, `partition ${id} is ${state}, not active`);
}

/** A child of the caller by its number. */
export function childOf(caller: Hyperv, id: bigint): ChildPartition | Refused {
  const child = caller.children.find(id);
  if (child) return child;
  if (id === SELF || id === caller.partitionId) return refused(HvStatus.ACCESS_DENIED, 'a partition is not its own parent');
  return refused(HvStatus.INVALID_PARTITION_ID, `the caller has no child ${id}`);
}
