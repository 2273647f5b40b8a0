import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { targetPartition } from '../target.ts';

/** HvCallGetVpIndexFromApicId: for each APIC id of a list the vCPU that has it. */
export function* getVpIndexFromApicId(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-apic-ids.check', { partition: call.value('partition'), count: call.repCount });
  const target = targetPartition(hyperv, call);
  if ('status' in target) return target.status;
  if (call.number('targetVtl') !== 0) return call.fail(HvStatus.INVALID_PARAMETER, 'there is no virtual trust level but 0');
  const { localApics } = target.found.machine.devices;
  for (let index = call.repStart; index < call.repEnd; index++) {
    const apicId = Number(call.elementValue(index, 'apicId'));
    const vp = localApics.findIndex(({ id }) => id === apicId);
    yield stage('hyperv-call-apic-ids.found', { apicId, vp });
    if (vp < 0) return call.fail(HvStatus.INVALID_PARAMETER, `no vCPU has the APIC id ${hex(apicId)}`);
    call.giveElement(index, 'vp', vp);
    call.repsCompleted++;
  }
  return HvStatus.SUCCESS;
}
