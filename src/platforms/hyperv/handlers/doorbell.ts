import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { HvStatus, statusName } from '../abi/status.ts';
import { type GuestParent, type Hyperv, hypervisorFrame } from '../hyperv.ts';
import { describeMatch } from '../synic/connection-information.ts';
import type { Doorbell } from '../synic/doorbells.ts';
import { handleMemoryIntercept } from './guest-parent.ts';

type WriteContext = ExitContext<ExitOf<'mmio'>>;

/** A write that rings a doorbell: nothing of it reaches the parent but that it happened, and the partition goes on at once. */
export function* handleDoorbell(hyperv: Hyperv, parent: GuestParent, context: WriteContext, doorbell: Doorbell): Handler {
  const { gpa, gva, size, value } = context.exit;
  yield stage('hyperv-doorbell.exit', { gpa, gva, size, value, rings: describeMatch(doorbell.match) });
  const status = yield* inFrame(hypervisorFrame(hyperv, 'ring doorbell'), ring(context, doorbell));
  if (status === HvStatus.SUCCESS) return;
  // Its parent mustn't miss it.
  yield* handleMemoryIntercept(hyperv, parent, context);
}

function* ring(context: WriteContext, { port }: Doorbell): Handler<number> {
  yield stage('hyperv-doorbell.ring', { port: port.id, partition: port.owner.partitionId, deleted: port.isDeleted });
  const status = yield* port.ringInStages();
  if (status === HvStatus.SUCCESS) {
    context.processor.completeAccess(0n);
    context.result(`rings doorbell port ${port.id} of partition ${port.owner.partitionId}`);
  }
  yield stage('hyperv-doorbell.rung', {
    port: port.id,
    status: statusName(status),
    becomes: status === HvStatus.SUCCESS ? 'nothing more' : 'an intercept',
  });
  return status;
}
