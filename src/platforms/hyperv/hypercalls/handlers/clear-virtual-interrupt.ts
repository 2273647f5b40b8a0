import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { targetPartition } from '../target.ts';

/** HvCallClearVirtualInterrupt takes back an interrupt of the PIC's that was asserted; none of these can be. */
export function* clearVirtualInterrupt(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-assert.clear', { partition: call.value('partition') });
  const target = targetPartition(hyperv, call);
  if ('status' in target) return target.status;
  return call.fail(HvStatus.ACKNOWLEDGED, 'no interrupt of an external controller waits');
}
