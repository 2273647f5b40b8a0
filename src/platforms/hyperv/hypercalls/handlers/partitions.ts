import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** The life cycle of partitions and their properties: HvCallCreatePartition to HvCallSetPartitionProperty, HvCallGetNextChildPartition. */
export function* performOnPartitions(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-partitions.none', { partition: hyperv.partitionId, name: call.row.name });
  return HvStatus.INVALID_HYPERCALL_CODE;
}
