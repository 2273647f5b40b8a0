import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallSwitchVirtualAddressSpace: loads CR3 as MOV would. */
export function* switchVirtualAddressSpace(_hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const addressSpace = call.value('addressSpace');
  const refusal = call.processor.writeRegister({ kind: 'control', number: 3 }, addressSpace);
  yield stage('hyperv-call-address-space.load', { cr3: addressSpace, done: refusal === undefined });
  if (refusal === undefined) return HvStatus.SUCCESS;
  return call.fail(HvStatus.INVALID_PARAMETER, `CR3 can't be ${hex(addressSpace)}`);
}
