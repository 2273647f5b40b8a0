import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import { HYPERVISOR_TYPES, LONGEST_PAYLOAD } from '../../abi/synic.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { ConnectionTarget } from '../../synic/connections.ts';
import type { HypercallCall } from '../call.ts';

/** HvCallPostMessage and HvCallSignalEvent. */
export function performOnConnections(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  return call.code === 0x5c ? postMessage(hyperv, call) : signalEvent(hyperv, call);
}

/** HvCallPostMessage (0x5C): a message for the port at the other end of a connection. */
function* postMessage(hyperv: Hyperv, call: HypercallCall): Handler<number> {
  const connection = call.number('connection');
  const type = call.number('messageType');
  const size = call.number('payloadSize');
  const target = hyperv.connections.get(connection);
  yield stage('hyperv-post-message.check', { connection, type, size, port: target?.kind ?? 'no such connection' });
  const problem = problemOfMessage(type, size);
  if (problem !== undefined) return call.fail(HvStatus.INVALID_PARAMETER, problem);
  if (!target) return noConnection(call, connection);
  if (target.kind !== 'message') return wrongPort(call, connection, target, 'messages');
  call.server = target.server;
  const payload = Uint8Array.from({ length: size }, (_, at) => call.block('payload').getUint8(at));
  const status = yield* target.postInStages({ type, payload });
  yield stage('hyperv-post-message.posted', { connection, type, status: statusName(status) });
  return status;
}

function problemOfMessage(type: number, size: number): string | undefined {
  if (type === 0) return 'a message of type 0 is none';
  if ((type & HYPERVISOR_TYPES) !== 0) return `messages of type ${hex(type)} are the hypervisor's own`;
  return size > LONGEST_PAYLOAD ? `a message has at most ${LONGEST_PAYLOAD} bytes, not ${size}` : undefined;
}

/** HvCallSignalEvent (0x5D): a flag of the port at the other end of a connection. */
function* signalEvent(hyperv: Hyperv, call: HypercallCall): Handler<number> {
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

function noConnection(call: HypercallCall, connection: number): number {
  return call.fail(HvStatus.INVALID_CONNECTION_ID, `the partition has no connection ${hex(connection)}`);
}

function wrongPort(call: HypercallCall, connection: number, { kind }: ConnectionTarget, wanted: string): number {
  return call.fail(HvStatus.INVALID_PORT_ID, `connection ${hex(connection)} leads to a port for ${kind}s, not for ${wanted}`);
}
