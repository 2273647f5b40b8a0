import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { eachElement, NO_POOL, poolOf } from '../pools.ts';

/** HvCallDepositMemory (0x48): pages of the caller's become the hypervisor's, for what it makes. */
export function* depositMemory(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const pool = poolOf(hyperv, call);
  yield stage('hyperv-call-memory.deposit', { partition: call.value('partition'), pages: call.repCount, from: call.repStart });
  if (!pool) return call.fail(HvStatus.INVALID_PARTITION_ID, NO_POOL);
  const refused = eachElement(call, (index) => hyperv.children.deposit(pool, call.elementValue(index, 'page')));
  yield stage('hyperv-call-memory.deposited', { available: pool.available, 'in use': pool.inUse });
  return refused ? call.fail(refused.status, refused.why) : HvStatus.SUCCESS;
}
