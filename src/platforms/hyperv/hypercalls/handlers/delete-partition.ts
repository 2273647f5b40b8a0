import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallDeletePartition (0x43): its number means nothing any more. */
export function* deletePartition(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  yield stage('hyperv-delete-partition.check', { partition: child.id, state: child.state });
  const refused = hyperv.children.delete(child);
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}
