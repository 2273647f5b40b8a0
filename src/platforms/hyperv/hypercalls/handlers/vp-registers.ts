import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { Privilege } from '../../abi/privileges.ts';
import { registerName } from '../../abi/registers.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { problemOfState } from '../state-registers.ts';
import { targetVp } from '../target.ts';
import { readVpRegister, writeVpRegister } from '../vp-registers.ts';

/** The virtual trust level that registers are named for: none but the one there is. */
const VTL_BITS = 0x1f;
const USE_VTL = 0x10;

function problemOfVtl(call: HypercallCall): string | undefined {
  const vtl = call.number('inputVtl') & VTL_BITS;
  return vtl === 0 || vtl === USE_VTL ? undefined : 'there is no virtual trust level but 0';
}

/** HvCallGetVpRegisters: 128 bits for each name of a list. */
export function* getRegisters(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-registers.get', { partition: call.value('partition'), vp: call.number('vp') });
  const target = targetVp(hyperv, call, Privilege.ACCESS_VP_REGISTERS);
  if ('status' in target) return target.status;
  const problem = problemOfVtl(call);
  if (problem !== undefined) return call.fail(HvStatus.INVALID_PARAMETER, problem);
  const { partition, processor } = target.found;
  for (let index = call.repStart; index < call.repEnd; index++) {
    const register = Number(call.elementValue(index, 'register'));
    const value = readVpRegister(partition, processor, register);
    yield stage('hyperv-call-registers.read', {
      name: registerName(register),
      low: value?.low ?? 0n,
      high: value?.high ?? 0n,
      found: value !== undefined,
    });
    if (value === undefined) return call.fail(HvStatus.INVALID_PARAMETER, `a vCPU has no ${registerName(register)}`);
    call.giveElement(index, 'low', value.low);
    call.giveElement(index, 'high', value.high);
    call.repsCompleted++;
  }
  return HvStatus.SUCCESS;
}

/** HvCallSetVpRegisters: each value is checked alone, all together before the vCPU runs. */
export function* setRegisters(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  yield stage('hyperv-call-registers.set', { partition: call.value('partition'), vp: call.number('vp') });
  const target = targetVp(hyperv, call, Privilege.ACCESS_VP_REGISTERS);
  if ('status' in target) return target.status;
  const problem = problemOfVtl(call);
  if (problem !== undefined) return call.fail(HvStatus.INVALID_PARAMETER, problem);
  const { partition, processor } = target.found;
  let status: number = HvStatus.SUCCESS;
  for (let index = call.repStart; index < call.repEnd && status === HvStatus.SUCCESS; index++) {
    const register = Number(call.elementValue(index, 'register'));
    const value = { low: call.elementValue(index, 'low'), high: call.elementValue(index, 'high') };
    status = writeVpRegister(partition, processor, register, value);
    yield stage('hyperv-call-registers.write', { name: registerName(register), ...value, status: statusName(status) });
    if (status === HvStatus.SUCCESS) call.repsCompleted++;
    else call.fail(status, `${registerName(register)} can't be ${hex(value.low)}`);
  }
  processor.stateChanged();
  const impossible = problemOfState(processor);
  yield stage('hyperv-call-registers.together', { problem: impossible ?? 'none' });
  partition.writtenVps.add(processor.index);
  return status;
}
