import { type Handler, type HandlerFrame, inFrame, stage } from '../../../../stages/stage.ts';
import { packetTypeName } from '../../abi/ring.ts';
import type { TakenPacket } from '../ring.ts';
import type { GuestPacket, Vsp, VspChannel } from '../vsp.ts';

/** A channel that the guest has signalled, as it is served. */
export interface ServedChannel extends VspChannel {
  readonly device: { readonly vsp: Vsp };
  /** What has to do with serving it once: whether it is open and nobody else serves it, and how much may be done. */
  readonly service: ChannelService;
  /** What runs for a packet. */
  readonly frame: HandlerFrame;
}

export interface ChannelService {
  /** False where there is nothing to serve: the channel is closed, its ring no use, or another vCPU's signal is being served. */
  begin(): boolean;
  /** The next packet; undefined at the end of the ring, or of what one signal may bring about. */
  take(): TakenPacket | undefined;
  /** Tells a guest that waits for room that there is some. */
  finish(): void;
}

/** The guest has signalled a channel: takes what is in its ring, packet by packet. */
export function* serveChannel(channel: ServedChannel): Handler {
  const { service, device } = channel;
  yield stage('vmbus-channel.signalled', { channel: channel.id, device: device.vsp.name });
  if (!service.begin()) {
    yield stage('vmbus-channel.nothing', { note: 'it is not open, or served already' });
    return;
  }
  for (;;) {
    const taken = service.take();
    if (taken === undefined) break;
    const { packet, problem } = taken;
    yield stage('vmbus-channel.packet', {
      type: packetTypeName(packet.type),
      bytes: packet.payload.length,
      transaction: packet.transactionId,
      completion: packet.wantsCompletion,
      ring_bytes: taken.bytes,
      next_read: taken.next,
    });
    // A packet whose ranges lead nowhere goes on without them: its sender waits for an answer that says so.
    if (problem !== undefined) {
      yield stage('vmbus-channel.no-memory', { problem });
    }
    yield* inFrame(channel.frame, receivePacket(channel, packet));
  }
  yield stage('vmbus-channel.consumed', { channel: channel.id });
  service.finish();
}

/** Gives a packet to the service at the parent's end. */
function* receivePacket(channel: ServedChannel, packet: GuestPacket): Handler {
  yield stage('vmbus-channel.deliver', { to: channel.device.vsp.name, subchannel: channel.subchannelIndex });
  yield* channel.device.vsp.receiveInStages(channel, packet);
}
