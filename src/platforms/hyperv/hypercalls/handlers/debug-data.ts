import { type Handler, stage } from '../../../../stages/stage.ts';
import { CallCode } from '../../abi/call-codes.ts';
import { HvStatus } from '../../abi/status.ts';
import { LONGEST_POST } from '../../abi/synthetic-debugger.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallPostDebugData, HvCallRetrieveDebugData, HvCallResetDebugSession: as with the MSRs of the synthetic debugger, none is connected. */
export function* debugData(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-debug.data', { name: call.row.name, debugger: 'none' });
  switch (call.code) {
    case CallCode.POST_DEBUG_DATA: {
      const count = call.number('count');
      if (count > LONGEST_POST)
        return call.fail(HvStatus.INVALID_PARAMETER, `${count} bytes don't fit into the page; ${LONGEST_POST} do`);
      const { buffer, byteOffset } = call.block('data');
      hyperv.debugger.post(new Uint8Array(buffer, byteOffset, count));
      // All of it is sent: 0 bytes are pending.
      return HvStatus.SUCCESS;
    }
    case CallCode.RETRIEVE_DEBUG_DATA:
      return call.fail(HvStatus.NO_DATA, 'no debugger is connected');
    default:
      // Addresses of zeros: there is no debugger, and so no network to it.
      return HvStatus.SUCCESS;
  }
}
