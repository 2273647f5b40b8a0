import { HvStatus } from '../abi/status.ts';
import type { Hyperv } from '../hyperv.ts';
import type { Refused } from '../partitions/refused.ts';
import type { HypercallCall } from './call.ts';

/** A partition that a call names, as it is shown. */
export function nameOf(partition: Hyperv | Refused): bigint | string {
  return 'status' in partition ? partition.why : partition.partitionId;
}

/** The partition has no such port. */
export function noPort(call: HypercallCall, { partitionId }: Hyperv, id: number): number {
  return call.fail(HvStatus.INVALID_PORT_ID, `partition ${partitionId} has no port ${id}`);
}
