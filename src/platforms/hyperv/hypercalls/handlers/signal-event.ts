import { type Handler, stage } from '../../../../stages/stage.ts';
import { statusName } from '../../abi/status.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { noConnection, wrongPort } from '../connection-problems.ts';

/** HvCallSignalEvent (0x5D): a flag of the port at the other end of a connection. */
export function* signalEvent(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const connection = call.number('connection');
  const flag = call.number('flag');
  const target = hyperv.connections.get(connection);
  yield stage('hyperv-signal-event.check', { connection, flag, port: target?.kind ?? 'no such connection' });
  if (!target) return noConnection(call, connection);
  if (target.kind !== 'event') return wrongPort(call, connection, target, 'events');
  call.server = target.server;
  const status = yield* target.signalInStages(flag);
  yield stage('hyperv-signal-event.signalled', { connection, flag, status: statusName(status) });
  return status;
}
