import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallDepositMemory, HvCallWithdrawMemory, HvCallGetMemoryBalance, HvCallMapGpaPages, HvCallUnmapGpaPages and HvCallMapSparseGpaPages. */
export function* performOnMemory(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-memory.none', { partition: hyperv.partitionId, name: call.row.name });
  return HvStatus.INVALID_HYPERCALL_CODE;
}
