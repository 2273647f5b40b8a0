import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { eachElement, NO_POOL, poolOf } from '../pools.ts';

/** HvCallWithdrawMemory (0x49). */
export function* withdrawMemory(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const pool = poolOf(hyperv, call);
  yield stage('hyperv-call-memory.withdraw', { partition: call.value('partition'), pages: call.repCount, from: call.repStart });
  if (!pool) return call.fail(HvStatus.INVALID_PARTITION_ID, NO_POOL);
  const refused = eachElement(call, (index) => {
    const page = hyperv.children.withdraw(pool);
    if (page === undefined) return { status: HvStatus.NO_RESOURCES, why: `no more pages: ${pool.inUse} are in use` };
    call.giveElement(index, 'page', page);
    return undefined;
  });
  yield stage('hyperv-call-memory.withdrawn', { available: pool.available, 'in use': pool.inUse });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}
