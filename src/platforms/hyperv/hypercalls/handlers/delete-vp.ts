import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { ChildPartition } from '../../partitions/child-partition.ts';
import { Price } from '../../partitions/memory-pool.ts';
import { type Refused, refused } from '../../partitions/refused.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallDeleteVp (0x4F). */
export function* deleteVp(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const vp = call.number('vp');
  yield stage('hyperv-delete-vp.check', { partition: child.id, vp, state: child.state });
  const problem = removeVp(child, vp);
  yield stage('hyperv-delete-vp.done', { vps: child.vps.size, status: statusName(problem?.status ?? HvStatus.SUCCESS) });
  return problem ? call.fail(problem.status, problem.why) : HvStatus.SUCCESS;
}

function removeVp(child: ChildPartition, vp: number): Refused | undefined {
  const { running, state } = child;
  if (!running) return refused(HvStatus.INVALID_PARTITION_STATE, `the partition is ${state}, not active`);
  if (!child.vps.delete(vp)) return refused(HvStatus.INVALID_VP_INDEX, 'there is no such virtual processor');
  running.hyperv.suspension.set(vp, 'explicit', true);
  running.partition.setPresent(vp, false);
  child.pool.release(Price.VP);
  return undefined;
}
