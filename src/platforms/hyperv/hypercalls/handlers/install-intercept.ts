import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallInstallIntercept (0x4D). */
export function* installIntercept(hyperv: Hyperv, call: HypercallCall): Handler<number> {
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
