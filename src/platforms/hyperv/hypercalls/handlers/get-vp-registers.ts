import { type Handler, stage } from '../../../../stages/stage.ts';
import { Privilege } from '../../abi/privileges.ts';
import { registerName } from '../../abi/registers.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { problemOfVtl } from '../input-vtl.ts';
import { targetVp } from '../target.ts';
import { readVpRegister } from '../vp-registers.ts';

/** HvCallGetVpRegisters: 128 bits for each name of a list. */
export function* getVpRegisters(hyperv: Hyperv, call: HypercallCall): Handler<number> {
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
