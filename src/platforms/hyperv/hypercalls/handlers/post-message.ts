import { type Handler, stage } from '../../../../stages/stage.ts';
import { hex } from '../../../../x86/address.ts';
import { HvStatus, statusName } from '../../abi/status.ts';
import { HYPERVISOR_TYPES, LONGEST_PAYLOAD } from '../../abi/synic.ts';
import type { Hyperv } from '../../hyperv.ts';
import type { HypercallCall } from '../call.ts';
import { noConnection, wrongPort } from '../connection-problems.ts';

/** HvCallPostMessage (0x5C): a message for the port at the other end of a connection. */
export function* postMessage(hyperv: Hyperv, call: HypercallCall): Handler<number> {
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
