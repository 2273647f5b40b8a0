import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallInstallIntercept, HvCallRegisterInterceptResult and HvCallUnregisterInterceptResult. */
export function* performOnIntercepts(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-intercepts.none', { partition: hyperv.partitionId, name: call.row.name });
  return HvStatus.INVALID_HYPERCALL_CODE;
}
