import { isVmExit } from '../../../../processor/intercepts.ts';
import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus } from '../../abi/status.ts';
import { hypervisorLeaf, LEAF_1_ECX } from '../../cpuid.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { targetVp } from '../target.ts';

/** HvCallGetPartitionId. */
export function* getPartitionId(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-partition-id.give', { partition: hyperv.partitionId });
  call.give('partition', hyperv.partitionId);
  return HvStatus.SUCCESS;
}

/** HvCallSwitchVirtualAddressSpace: loads CR3 as MOV would. */
export function* switchAddressSpace(_hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const addressSpace = call.value('addressSpace');
  const refusal = call.processor.writeRegister({ kind: 'control', number: 3 }, addressSpace);
  yield stage('hyperv-call-address-space.load', { cr3: addressSpace, done: refusal === undefined });
  if (refusal === undefined) return HvStatus.SUCCESS;
  return call.fail(HvStatus.INVALID_PARAMETER, `CR3 can't be ${hex(addressSpace)}`);
}

/** HvCallNotifyLongSpinWait: the rest of this vCPU's turn goes to another one. */
export function* notifySpin(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-spin.yield', { spinCount: call.number('spinCount') });
  hyperv.machine.yieldTurn();
  return HvStatus.SUCCESS;
}

/** HvCallGetVpCpuidValues: what CPUID gives a vCPU. */
export function* getCpuidValues(hyperv: Hyperv, call: HypercallCall): Handler<number> {
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

/** HvCallCheckForIoIntercept: whether an access to a port would leave the vCPU. */
export function* checkIoIntercept(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const port = call.number('port');
  const size = call.number('size');
  yield stage('hyperv-call-io-check.check', { port, size, write: call.number('isWrite') !== 0 });
  const target = targetVp(hyperv, call);
  if ('status' in target) return target.status;
  if (size !== 1 && size !== 2 && size !== 4) return call.fail(HvStatus.INVALID_PARAMETER, `no access has ${size} bytes`);
  const { processor } = target.found;
  const access = {
    reason: 'io',
    port,
    size,
    write: call.number('isWrite') !== 0,
    value: 0,
    string: false,
    rep: false,
    immediate: false,
  } as const;
  const place = { rip: processor.state.rip, instructionLength: 0, icount: processor.icount };
  const leaves = isVmExit(processor.intercepts, { ...access, ...place });
  call.give('intercepted', leaves ? 1 : 0);
  yield stage('hyperv-call-io-check.result', { port, leaves });
  return HvStatus.SUCCESS;
}
