import { type Handler, stage } from '../../../../stages/stage.ts';
import { statusName } from '../../abi/status.ts';
import type { PostedMessage } from '../connections.ts';
import type { DoorbellPort, EventPort, MessagePort } from '../ports.ts';

/** A message that has come to a port: it goes into the slot of the port's interrupt source, or into its queue. Gives a status. */
export function* deliverMessage(port: MessagePort, message: PostedMessage): Handler<number> {
  yield stage('hyperv-port.message', {
    port: port.id,
    partition: port.owner.partitionId,
    place: port.place,
    type: message.type,
    buffersFree: port.buffers.free,
  });
  const status = port.take(message);
  yield stage('hyperv-port.message-taken', { status: statusName(status), buffersFree: port.buffers.free });
  return status;
}

/** An event flag that somebody sets at a port. Gives a status. */
export function* setFlag(port: EventPort, flag: number): Handler<number> {
  yield stage('hyperv-port.event', {
    port: port.id,
    partition: port.owner.partitionId,
    place: port.place,
    flag,
    bit: port.information.baseFlag + flag,
  });
  const status = port.take(flag);
  yield stage('hyperv-port.event-set', { status: statusName(status) });
  return status;
}

/** A doorbell that a partition has rung: the port's number goes into the event ring of its interrupt source. Gives a status. */
export function* tellOfPort(port: DoorbellPort): Handler<number> {
  yield stage('hyperv-port.doorbell', { port: port.id, partition: port.owner.partitionId, place: port.place });
  const status = port.take();
  yield stage('hyperv-port.doorbell-told', { status: statusName(status), rings: port.rings });
  return status;
}
