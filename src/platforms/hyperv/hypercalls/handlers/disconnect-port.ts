import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { targetPartition } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';
import { nameOf } from '../port-problems.ts';

/** HvCallDisconnectPort (0x5B). Messages that were posted before still arrive. */
export function* disconnectPort(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const from = targetPartition(hyperv, call.value('partition'));
  const id = call.number('connection');
  yield stage('hyperv-disconnect-port.check', { from: nameOf(from), connection: id });
  if ('status' in from) return call.fail(from.status, from.why);
  if (from.connections.disconnect(id)) return HvStatus.SUCCESS;
  return call.fail(HvStatus.INVALID_CONNECTION_ID, `partition ${from.partitionId} has no connection ${id}`);
}
