import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallFlushGuestPhysicalAddressSpace and -List are for hypervisors in partitions: these have none, and no nested address spaces. */
export function* flushGuestPhysicalAddressSpace(_hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-flush.nested', { addressSpace: call.value('addressSpace') });
  return call.fail(HvStatus.INVALID_PARAMETER, 'the partition has no nested address spaces');
}
