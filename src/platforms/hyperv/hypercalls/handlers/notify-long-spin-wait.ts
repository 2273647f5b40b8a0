import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallNotifyLongSpinWait: the rest of this vCPU's turn goes to another one. */
export function* notifyLongSpinWait(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-spin.yield', { spinCount: call.number('spinCount') });
  hyperv.machine.yieldTurn();
  return HvStatus.SUCCESS;
}
