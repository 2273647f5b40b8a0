import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { SELF } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallGetNextChildPartition (0x47). */
export function* getNextChildPartition(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const parent = call.value('parent');
  const previous = call.value('previous');
  yield stage('hyperv-get-next-child-partition.check', { parent, previous });
  if (parent !== hyperv.partitionId && parent !== SELF)
    return call.fail(HvStatus.INVALID_PARTITION_ID, 'only children of the caller are told');
  call.give('next', hyperv.children.next(previous));
  return HvStatus.SUCCESS;
}
