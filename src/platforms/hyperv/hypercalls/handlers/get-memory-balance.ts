import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { NO_POOL, poolOf } from '../pools.ts';

/** HvCallGetMemoryBalance (0x4A). */
export function* getMemoryBalance(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const pool = poolOf(hyperv, call);
  yield stage('hyperv-call-memory.balance', { partition: call.value('partition'), available: pool?.available ?? 'none' });
  if (!pool) return call.fail(HvStatus.INVALID_PARTITION_ID, NO_POOL);
  call.give('available', pool.available);
  call.give('inUse', pool.inUse);
  return HvStatus.SUCCESS;
}
