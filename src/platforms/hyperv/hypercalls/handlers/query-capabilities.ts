import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** Bits of HvExtCallQueryCapabilities: which other extended calls there are. */
const GET_BOOT_ZEROED_MEMORY = 1n;

/** HvExtCallQueryCapabilities (0x8001). */
export function* queryCapabilities(_hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-extended.capabilities', { capabilities: GET_BOOT_ZEROED_MEMORY });
  call.give('capabilities', GET_BOOT_ZEROED_MEMORY);
  return HvStatus.SUCCESS;
}
