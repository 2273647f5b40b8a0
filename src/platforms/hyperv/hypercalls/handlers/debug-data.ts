import { type Handler, stage } from '../../../../stages/stage.ts';
import { CallCode } from '../../abi/call-codes.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallPostDebugData, HvCallRetrieveDebugData, HvCallResetDebugSession: no debugger of the hypervisor's own is connected. */
export function* debugData(_hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-debug.data', { name: call.row.name, debugger: 'none' });
  switch (call.code) {
    case CallCode.POST_DEBUG_DATA:
      return call.fail(HvStatus.INSUFFICIENT_BUFFERS, 'nobody takes what is posted: no debugger is connected');
    case CallCode.RETRIEVE_DEBUG_DATA:
      return call.fail(HvStatus.NO_DATA, 'no debugger is connected');
    default:
      return HvStatus.SUCCESS;
  }
}
