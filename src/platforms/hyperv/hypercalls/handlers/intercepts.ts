import { type Handler, inFrame, stage } from '../../../../stages/stage.ts';
import { InterceptType } from '../../abi/intercepts.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import { type Hyperv, hypervisorFrame } from '../../hyperv.ts';
import type { CpuidResult } from '../../partitions/installed-intercepts.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallInstallIntercept, HvCallRegisterInterceptResult and HvCallUnregisterInterceptResult. */
export function* performOnIntercepts(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  if (call.code === 0x4d) return yield* inFrame(hypervisorFrame(hyperv, 'install intercept'), install(hyperv, call));
  return yield* inFrame(hypervisorFrame(hyperv, 'intercept result'), registerResult(hyperv, call));
}

function* install(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const type = call.number('interceptType');
  const mask = call.number('accessMask');
  const parameter = call.value('parameter');
  yield stage('hyperv-call-intercepts.install', { partition: child.id, type, access: mask, parameter });
  if (child.state === 'finalized') return call.fail(HvStatus.INVALID_PARTITION_STATE, 'the partition is finalized');
  const refused = child.intercepts.install(type, mask, parameter);
  child.running?.hyperv.interceptsChanged();
  yield stage('hyperv-call-intercepts.installed', { status: statusName(refused?.status ?? HvStatus.SUCCESS) });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}

/** What CPUID gives from now on, or no more. */
function* registerResult(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const type = call.number('interceptType');
  const isNew = call.code === 0x91;
  yield stage('hyperv-call-intercepts.result', { partition: child.id, type, registers: isNew });
  if (child.state === 'finalized') return call.fail(HvStatus.INVALID_PARTITION_STATE, 'the partition is finalized');
  if (type !== InterceptType.CPUID) return call.fail(HvStatus.INVALID_PARAMETER, 'only results of CPUID are served here');
  const parameters = call.block('parameters');
  if (!isNew)
    return child.intercepts.unregisterCpuid(leafOf(parameters))
      ? HvStatus.SUCCESS
      : call.fail(HvStatus.NOT_FOUND, 'no result of this leaf was registered');
  const refused = child.intercepts.registerCpuid(resultOf(parameters));
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}

function leafOf(parameters: DataView): Pick<CpuidResult, 'leaf' | 'subleaf' | 'isSubleafSpecific'> {
  return {
    leaf: parameters.getUint32(0, true),
    subleaf: parameters.getUint32(4, true),
    isSubleafSpecific: parameters.getUint8(8) !== 0,
  };
}

/** HV_REGISTER_X64_CPUID_RESULT_PARAMETERS: the leaf in 12 bytes, then EAX, EBX, ECX and EDX, each with a mask. */
function resultOf(parameters: DataView): CpuidResult {
  const pairs = [12, 20, 28, 36];
  return {
    ...leafOf(parameters),
    values: pairs.map((at) => parameters.getUint32(at, true)),
    masks: pairs.map((at) => parameters.getUint32(at + 4, true)),
  };
}
