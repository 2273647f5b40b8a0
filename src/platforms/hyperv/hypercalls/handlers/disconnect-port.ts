import { type Handler, stage } from '../../../../stages/stage.ts';
import { HvStatus } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import { targetPartition } from '../../partitions/target.ts';
import type { HypercallCall } from '../call.ts';
import { nameOf } from '../port-problems.ts';

/** The connection is one to a doorbell. */
const IS_DOORBELL = 1;

/** HvCallDisconnectPort (0x5B). Messages that were posted before still arrive. */
export function* disconnectPort(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const from = targetPartition(hyperv, call.value('partition'));
  const id = call.number('connection');
  yield stage('hyperv-disconnect-port.check', { from: nameOf(from), connection: id });
  if ('status' in from) return call.fail(from.status, from.why);
  const target = from.connections.get(id);
  const flags = call.number('flags');
  if ((flags & ~IS_DOORBELL) !== 0) return call.fail(HvStatus.INVALID_PARAMETER, 'reserved bits are not 0');
  if (target && (flags & IS_DOORBELL) !== 0 && target.kind !== 'doorbell')
    return call.fail(HvStatus.INVALID_CONNECTION_ID, `connection ${id} leads to a port for ${target.kind}s, not to a doorbell`);
  if (from.connections.disconnect(id)) return HvStatus.SUCCESS;
  return call.fail(HvStatus.INVALID_CONNECTION_ID, `partition ${from.partitionId} has no connection ${id}`);
}
