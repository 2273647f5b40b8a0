import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallPostMessage and HvCallSignalEvent. */
export function* performOnConnections(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-connections.none', { partition: hyperv.partitionId, name: call.row.name });
  return HvStatus.INVALID_HYPERCALL_CODE;
}
