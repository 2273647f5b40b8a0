import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import { hypervisorLeaf, LEAF_1_ECX } from '../../cpuid.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { targetVp } from '../target.ts';

/** HvCallGetVpCpuidValues: what CPUID gives a vCPU. */
export function* getVpCpuidValues(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-cpuid.check', { partition: call.value('partition'), vp: call.number('vp') });
  const target = targetVp(hyperv, call);
  if ('status' in target) return target.status;
  const { partition, processor } = target.found;
  for (let index = call.repStart; index < call.repEnd; index++) {
    const leaf = Number(call.elementValue(index, 'leaf'));
    const subleaf = Number(call.elementValue(index, 'subleaf'));
    const values = hypervisorLeaf(partition, leaf) ?? processor.model.cpuid(leaf, subleaf);
    const { eax, ebx, ecx, edx } = leaf === 1 ? { ...values, ecx: values.ecx | LEAF_1_ECX } : values;
    yield stage('hyperv-call-cpuid.values', { leaf, subleaf, eax: eax >>> 0, ebx: ebx >>> 0, ecx: ecx >>> 0, edx: edx >>> 0 });
    call.giveElement(index, 'eax', eax >>> 0);
    call.giveElement(index, 'ebx', ebx >>> 0);
    call.giveElement(index, 'ecx', ecx >>> 0);
    call.giveElement(index, 'edx', edx >>> 0);
    call.repsCompleted++;
  }
  return HvStatus.SUCCESS;
}
