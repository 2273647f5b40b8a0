import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { ChildPartition } from '../../partitions/child-partition.ts';
import { Price } from '../../partitions/memory-pool.ts';
import { type Refused, refused } from '../../partitions/refused.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallCreateVp (0x4E). */
export function* createVp(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const vp = call.number('vp');
  yield stage('hyperv-create-vp.check', { partition: child.id, vp, state: child.state });
  const problem = addVp(child, vp, call.value('flags'));
  yield stage('hyperv-create-vp.done', { vps: child.vps.size, status: statusName(problem?.status ?? HvStatus.SUCCESS) });
  return problem ? call.fail(problem.status, problem.why) : HvStatus.SUCCESS;
}

/** The first one waits for its parent to clear its explicit suspend register, the others for a start-up. */
function addVp(child: ChildPartition, vp: number, flags: bigint): Refused | undefined {
  const { running, state } = child;
  if (!running) return refused(HvStatus.INVALID_PARTITION_STATE, `the partition is ${state}, not active`);
  if (flags !== 0n) return refused(HvStatus.INVALID_PARAMETER, 'flags of a virtual processor must be 0');
  const count = running.partition.vcpus.length;
  if (vp >= count) return refused(HvStatus.INVALID_VP_INDEX, `a partition can have virtual processors 0 to ${count - 1}`);
  if (child.vps.has(vp)) return refused(HvStatus.INVALID_VP_INDEX, 'this virtual processor is there already');
  if (!child.pool.use(Price.VP))
    return refused(
      HvStatus.INSUFFICIENT_MEMORY,
      `it takes ${Price.VP} pages; ${child.pool.available} are in its partition's pool`,
    );
  child.vps.add(vp);
  running.partition.setPresent(vp, true);
  if (vp > 0) running.hyperv.suspension.set(vp, 'explicit', false);
  return undefined;
}
