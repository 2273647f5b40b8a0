import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallInitializePartition (0x41): the partition gets its address space, and can have vCPUs. */
export function* initializePartition(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  yield stage('hyperv-initialize-partition.check', { partition: child.id, state: child.state });
  const refused = hyperv.children.initialize(child);
  // Memory is made at once: a guest that has it done again and again shall not keep who looks at it waiting.
  hyperv.machine.tookLong();
  yield stage('hyperv-initialize-partition.done', {
    state: child.state,
    status: statusName(refused?.status ?? HvStatus.SUCCESS),
  });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}
