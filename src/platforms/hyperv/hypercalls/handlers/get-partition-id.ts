import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallGetPartitionId. */
export function* getPartitionId(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-partition-id.give', { partition: hyperv.partitionId });
  call.give('partition', hyperv.partitionId);
  return HvStatus.SUCCESS;
}
