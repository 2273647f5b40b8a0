import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { childOf } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';
import { eachElement } from '../pools.ts';

const LARGE_PAGES = 4;

/** HvCallUnmapGpaPages (0x4C). */
export function* unmapGpaPages(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const child = childOf(hyperv, call.value('partition'));
  if ('status' in child) return call.fail(child.status, child.why);
  const first = call.value('targetPage');
  const flags = call.number('unmapFlags');
  yield stage('hyperv-call-memory.unmap', { partition: child.id, page: first, pages: call.repCount, from: call.repStart });
  if (child.state !== 'active') return call.fail(HvStatus.INVALID_PARTITION_STATE, `the partition is ${child.state}`);
  if ((flags & LARGE_PAGES) !== 0) return call.fail(HvStatus.INVALID_PARAMETER, 'pages of 2 MiB are not served here');
  eachElement(call, (index) => {
    child.pages.unmap(first + BigInt(index));
    return undefined;
  });
  return HvStatus.SUCCESS;
}
