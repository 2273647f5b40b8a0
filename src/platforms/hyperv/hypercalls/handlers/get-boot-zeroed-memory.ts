import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvExtCallGetBootZeroedMemory: a list of ranges that may be incomplete. What was zero at the start isn't kept, so that it is empty. */
export function* getBootZeroedMemory(_hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-extended.zeroed', { count: 0 });
  call.give('count', 0);
  return HvStatus.SUCCESS;
}
