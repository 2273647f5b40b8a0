import { Delivery } from '../../../../devices/local-apic/registers.ts';
import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { processorsOfMask, processorsOfSet } from '../processor-set.ts';
import { FIRST_VECTOR, LAST_VECTOR } from '../vectors.ts';

/** HvCallSendSyntheticClusterIpi and -Ex: a fixed interrupt for each vCPU of a set. */
export function* sendSyntheticClusterIpi(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const vector = call.number('vector');
  yield stage('hyperv-call-ipi.check', { vector, targetVtl: call.number('targetVtl') });
  if (vector < FIRST_VECTOR || vector > LAST_VECTOR)
    return call.fail(HvStatus.INVALID_PARAMETER, `${hex(vector)} is no vector from 0x10 to 0xff`);
  if (call.number('targetVtl') !== 0) return call.fail(HvStatus.INVALID_PARAMETER, 'there is no virtual trust level but 0');
  if (!hyperv.machine.door.ask('send-ipis', () => `an interrupt, vector ${hex(vector)}, to a set of vCPUs`))
    return call.fail(HvStatus.ACCESS_DENIED, "the partition's grant has no interrupts between vCPUs");
  const set = call.row.isVariable
    ? processorsOfSet(hyperv, call, call.value('setFormat'), call.value('validBanks'), call.variable)
    : processorsOfMask(hyperv, call, call.value('processorMask'));
  if (typeof set === 'number') return set;
  yield stage('hyperv-call-ipi.deliver', { vector, vps: set.text });
  for (const vp of set.vps) hyperv.apic(vp).accept(Delivery.FIXED, vector, false);
  return HvStatus.SUCCESS;
}
