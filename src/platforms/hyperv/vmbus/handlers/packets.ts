import { type Handler, stage } from '../../../../stages/stage.ts';
import { packetTypeName } from '../../abi/ring.ts';
import type { HostPacket } from '../vsp.ts';

/** The end of a channel that packets for the guest are written to. */
export interface PacketSink {
  readonly id: number;
  write(packet: HostPacket): { readonly isSignalDue: boolean } | undefined;
  interrupt(): void;
}

/** Puts a packet into the ring to the guest, and interrupts the guest where it doesn't look by itself. */
export function* sendPacket(channel: PacketSink, packet: HostPacket): Handler<boolean> {
  yield stage('vmbus-packet.write', {
    channel: channel.id,
    type: packetTypeName(packet.type),
    bytes: packet.payload.length,
    transaction: packet.transactionId,
  });
  const written = channel.write(packet);
  if (written === undefined) {
    yield stage('vmbus-packet.no-room', { note: 'the ring has no room; the guest is asked to tell when it has' });
    return false;
  }
  if (written.isSignalDue) {
    yield stage('vmbus-packet.signal', { note: 'the ring was empty and its interrupts are on: the guest is interrupted' });
    channel.interrupt();
  } else {
    yield stage('vmbus-packet.no-signal', { note: 'the guest has more to read, or its interrupts off: it looks by itself' });
  }
  return true;
}
