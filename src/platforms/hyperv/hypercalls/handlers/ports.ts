import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallCreatePort, HvCallDeletePort, HvCallConnectPort, HvCallDisconnectPort and HvCallGetPortProperty. */
export function* performOnPorts(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-ports.none', { partition: hyperv.partitionId, name: call.row.name });
  return HvStatus.INVALID_HYPERCALL_CODE;
}
