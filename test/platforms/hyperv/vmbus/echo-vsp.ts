import { PacketType } from '../../../../src/platforms/hyperv/abi/ring.ts';
import type { ChannelOffer, GuestPacket, Vsp, VspChannel } from '../../../../src/platforms/hyperv/vmbus/vsp.ts';
import { type Handler, stage } from '../../../../src/stages/stage.ts';

/** A service that answers each packet that wants it with a completion: the same payload, and what the packet's memory has in front of it. */
export class EchoVsp implements Vsp {
  readonly name: string;
  readonly component = 'vmwp.exe';
  readonly offer: ChannelOffer;
  readonly received: { readonly channel: number; readonly packet: GuestPacket }[] = [];
  readonly opened: VspChannel[] = [];
  readonly closed: VspChannel[] = [];
  /** Answers that found no room. */
  readonly unsent: GuestPacket[] = [];
  resets = 0;

  constructor(offer: Partial<ChannelOffer> = {}, name = 'echo') {
    this.name = name;
    this.offer = {
      interfaceId: 'f8615163-df3e-46c5-913f-f2d2f965ed0e',
      instanceId: '01234567-89ab-cdef-0123-456789abcdef',
      ...offer,
    };
  }

  open(channel: VspChannel): void {
    this.opened.push(channel);
  }
  close(channel: VspChannel): void {
    this.closed.push(channel);
  }
  receive(channel: VspChannel, packet: GuestPacket): void {
    this.received.push({ channel: channel.id, packet });
    if (packet.wantsCompletion && !channel.send(answerTo(packet))) this.unsent.push(packet);
  }
  *receiveInStages(channel: VspChannel, packet: GuestPacket): Handler {
    yield stage('test-echo.receive', { bytes: packet.payload.length });
    this.received.push({ channel: channel.id, packet });
    if (packet.wantsCompletion && !(yield* channel.sendInStages(answerTo(packet)))) this.unsent.push(packet);
  }
  hasRoom(channel: VspChannel): void {
    for (;;) {
      const [packet] = this.unsent;
      if (packet === undefined || !channel.send(answerTo(packet))) return;
      this.unsent.shift();
    }
  }
  reset(): void {
    this.resets++;
  }
  inspect() {
    return { name: 'echo', value: String(this.received.length) };
  }
}

function answerTo({ transactionId, payload, buffer }: GuestPacket) {
  const memory = buffer?.read(0, Math.min(buffer.length, 16)) ?? new Uint8Array(0);
  return { type: PacketType.COMPLETION, transactionId, payload: Uint8Array.from([...payload, ...memory]) };
}
