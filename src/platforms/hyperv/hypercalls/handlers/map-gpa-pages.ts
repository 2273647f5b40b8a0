import { type Handler, stage } from '../../../../stages/stage.ts';
import { CallCode } from '../../abi/call-codes.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';
import { eachElement } from '../pools.ts';

/** HvCallMapGpaPages, and HvCallMapSparseGpaPages, whose pages each have a place of their own. */
export function* mapGpaPages(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const flags = call.number('mapFlags');
  const isSparse = call.code === CallCode.MAP_SPARSE_GPA_PAGES;
  const first = isSparse ? 0n : call.value('targetPage');
  yield stage('hyperv-call-memory.map', { partition: child.id, flags, pages: call.repCount, from: call.repStart });
  const refused = eachElement(call, (index) => {
    const target = isSparse ? call.elementValue(index, 'targetPage') : first + BigInt(index);
    return child.pages.map(target, call.elementValue(index, 'sourcePage'), flags);
  });
  yield stage('hyperv-call-memory.mapped', { done: call.repsCompleted, status: statusName(refused?.status ?? HvStatus.SUCCESS) });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}
