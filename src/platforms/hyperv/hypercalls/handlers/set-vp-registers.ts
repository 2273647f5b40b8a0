import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { Privilege } from '../../abi/privileges.ts';
import { registerName } from '../../abi/registers.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { problemOfVtl } from '../input-vtl.ts';
import { problemOfState } from '../state-registers.ts';
import { targetVp } from '../target.ts';
import { writeVpRegister } from '../vp-registers.ts';

/** HvCallSetVpRegisters: each value is checked alone, all together before the vCPU runs. */
export function* setVpRegisters(hyperv: Hyperv, call: HypercallCall): Handler<number> {
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
