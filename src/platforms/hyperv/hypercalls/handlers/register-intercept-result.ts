import { type Handler, stage } from '../../../../stages/stage.ts';
import { CallCode } from '../../abi/call-codes.ts';
import { InterceptType } from '../../abi/intercepts.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { CpuidResult } from '../../partitions/installed-intercepts.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallRegisterInterceptResult (0x91) and HvCallUnregisterInterceptResult (0x92): what CPUID gives from now on, or no more. */
export function* registerInterceptResult(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const type = call.number('interceptType');
  const isNew = call.code === CallCode.REGISTER_INTERCEPT_RESULT;
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
