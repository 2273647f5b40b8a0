import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallFinalizePartition (0x42): its vCPUs, ports and connections end; its memory can be withdrawn. */
export function* finalizePartition(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  yield stage('hyperv-finalize-partition.check', { partition: child.id, state: child.state });
  const refused = hyperv.children.finalize(child);
  // Memory is scrubbed at once.
  hyperv.machine.tookLong();
  yield stage('hyperv-finalize-partition.done', { state: child.state, status: statusName(refused?.status ?? HvStatus.SUCCESS) });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}
