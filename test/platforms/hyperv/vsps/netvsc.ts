import type { NetworkCard, NetworkPort } from '../../../../src/devices/network-port.ts';
import {
  NO_SECTION,
  NvspMessage,
  NvspVersion,
  nvspMessage,
  RECEIVE_BUFFER_ID,
} from '../../../../src/platforms/hyperv/abi/nvsp.ts';
import { PacketType } from '../../../../src/platforms/hyperv/abi/ring.ts';
import { Oid, RNDIS_COMPLETE, RndisMessage } from '../../../../src/platforms/hyperv/abi/rndis.ts';
import type { GuestBuffer, HostPacket, VspChannel } from '../../../../src/platforms/hyperv/vmbus/vsp.ts';
import { NetworkVsp } from '../../../../src/platforms/hyperv/vsps/network/network-vsp.ts';
import { type Handler, type HandlerStep, stage } from '../../../../src/stages/stage.ts';

export const MAC = 0x5254_0012_3456;
const RECEIVE_GPADL = 0xe1e10;
const SEND_GPADL = 0xe1e11;

/** Memory of a guest that it has described to its parent. */
export class FakeBuffer implements GuestBuffer {
  readonly bytes: Uint8Array;
  isGone = false;
  constructor(readonly length: number) {
    this.bytes = new Uint8Array(length);
  }
  read(offset: number, length: number): Uint8Array | undefined {
    return this.isGone || offset + length > this.length ? undefined : this.bytes.slice(offset, offset + length);
  }
  write(offset: number, bytes: Uint8Array): boolean {
    if (this.isGone || offset + bytes.length > this.length) return false;
    this.bytes.set(bytes, offset);
    return true;
  }
}

export function bufferOf(bytes: Uint8Array): FakeBuffer {
  const buffer = new FakeBuffer(bytes.length);
  buffer.bytes.set(bytes);
  return buffer;
}

/** A channel whose ring holds what a test hasn't taken from it. */
export class FakeChannel implements VspChannel {
  ring: HostPacket[] = [];
  room = Infinity;
  offered = 0;
  constructor(
    readonly id: number,
    readonly subchannelIndex: number,
    readonly gpadls: ReadonlyMap<number, GuestBuffer>,
  ) {}
  send(packet: HostPacket): boolean {
    if (this.ring.length >= this.room) return false;
    this.ring.push(packet);
    return true;
  }
  *sendInStages(packet: HostPacket): Handler<boolean> {
    yield stage('fake-channel.send', { type: packet.type });
    return this.send(packet);
  }
  gpadl(id: number): GuestBuffer | undefined {
    return this.gpadls.get(id);
  }
  offerSubchannels(count: number): void {
    this.offered = count;
  }
}

/** What a card is plugged into, which keeps what the card sends. */
export class FakePort implements NetworkPort {
  readonly frames: Uint8Array[] = [];
  card: NetworkCard | undefined;
  connect(card: NetworkCard): void {
    this.card = card;
  }
  transmit(frame: Uint8Array): void {
    this.frames.push(frame);
  }
}

/** 32-bit numbers as bytes. */
export function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setUint32(4 * index, value, true);
  });
  return bytes;
}
export function numbers(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: bytes.length >> 2 }, (_, index) => view.getUint32(4 * index, true));
}

/** Bytes one behind the other. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** A data message of RNDIS. `info`: pairs of a kind of information and its value. */
export function rndisPacket(frame: Uint8Array, info: readonly (readonly [kind: number, value: number])[] = []): Uint8Array {
  const piece = concat(...info.map(([kind, value]) => words(16, kind, 12, value)));
  const place = info.length > 0 ? 36 : 0;
  const length = 44 + piece.length + frame.length;
  return concat(words(1, length, 36 + piece.length, frame.length, 0, 0, 0, place, piece.length, 0, 0), piece, frame);
}

/** A netvsc driver made by hand, with the network VSP at the other end of its channels. */
export class Netvsc {
  readonly vsp: NetworkVsp;
  readonly receive = new FakeBuffer(64 * 1728);
  readonly send = new FakeBuffer(4 * 6144);
  readonly gpadls = new Map<number, FakeBuffer>([
    [RECEIVE_GPADL, this.receive],
    [SEND_GPADL, this.send],
  ]);
  readonly channel = new FakeChannel(3, 0, this.gpadls);
  readonly steps: HandlerStep[] = [];
  private transaction = 100n;
  private request = 0;

  constructor(
    readonly port: FakePort = new FakePort(),
    queues = 1,
    private readonly inStages = true,
    mac = MAC,
  ) {
    this.vsp = new NetworkVsp({ port, mac, queues });
    this.vsp.open(this.channel);
  }

  /** Gives the VSP a packet. */
  put(
    type: number,
    payload: Uint8Array,
    buffer?: GuestBuffer,
    transactionId = this.transaction++,
    channel = this.channel,
  ): bigint {
    const packet = { type, transactionId, wantsCompletion: type !== PacketType.COMPLETION, payload, buffer };
    if (this.inStages) for (const step of this.vsp.receiveInStages(channel, packet)) this.steps.push(step);
    else this.vsp.receive(channel, packet);
    return transactionId;
  }

  /** Sends an NVSP message; the completion's numbers. */
  nvsp(version: number, type: number, ...fields: readonly number[]): number[] {
    const transaction = this.put(PacketType.DATA_IN_BAND, nvspMessage(version, type, ...fields));
    return numbers(this.completion(transaction));
  }

  /** Takes the completion of a transaction out of the ring. */
  completion(transaction: bigint): Uint8Array {
    const index = this.channel.ring.findIndex(
      ({ type, transactionId }) => type === PacketType.COMPLETION && transactionId === transaction,
    );
    if (index < 0) throw new Error('no completion');
    const [packet] = this.channel.ring.splice(index, 1);
    return packet?.payload ?? new Uint8Array(0);
  }

  /** Takes the next message from a ring; it isn't told that it was read unless `isDone`. */
  take(channel = this.channel, isDone = true): Uint8Array | undefined {
    const index = channel.ring.findIndex(({ type }) => type === PacketType.DATA_TRANSFER_PAGES);
    if (index < 0) return undefined;
    const [packet] = channel.ring.splice(index, 1);
    const [range] = packet?.transferPages?.ranges ?? [];
    if (packet === undefined || range === undefined || packet.transferPages?.set !== RECEIVE_BUFFER_ID)
      throw new Error('no ranges');
    const message = this.receive.bytes.slice(range.offset, range.offset + range.count);
    if (isDone) this.done(packet.transactionId, channel);
    return message;
  }

  /** Tells that a message was read. */
  done(transactionId: bigint, channel = this.channel): void {
    this.put(PacketType.COMPLETION, words(NvspMessage.SEND_RNDIS_PACKET_COMPLETE, 1), undefined, transactionId, channel);
  }

  /** Sends RNDIS messages by GPA direct; the status in the completion. */
  rndis(message: Uint8Array, channel = 0): number | undefined {
    const payload = nvspMessage(NvspVersion.V61, NvspMessage.SEND_RNDIS_PACKET, channel, NO_SECTION, 0);
    const transaction = this.put(PacketType.DATA_GPA_DIRECT, payload, bufferOf(message));
    return numbers(this.completion(transaction))[1];
  }

  /** Sends a control message; the answer that comes back. */
  control(type: number, ...rest: readonly Uint8Array[]): Uint8Array {
    const body = concat(words(++this.request), ...rest);
    const status = this.rndis(concat(words(type, 8 + body.length), body), 1);
    if (status !== 1) throw new Error(`completed with ${status}`);
    const answer = this.take() ?? new Uint8Array(0);
    const [answered, length, id] = numbers(answer);
    if (answered !== (RNDIS_COMPLETE | type) >>> 0 || length !== answer.length) throw new Error(`answered with ${answered}`);
    if (type !== RndisMessage.RESET && id !== this.request) throw new Error(`answered ${id}`);
    return answer;
  }

  /** What a query is answered with: its status and its value. */
  query(oid: number, input = new Uint8Array(0)): { readonly status: number | undefined; readonly value: Uint8Array } {
    const answer = this.control(RndisMessage.QUERY, words(oid, input.length, input.length > 0 ? 20 : 0, 0), input);
    const [, , , status, length = 0, offset = 0] = numbers(answer);
    return { status, value: answer.slice(8 + offset, 8 + offset + length) };
  }

  set(oid: number, value: Uint8Array): number | undefined {
    return numbers(this.control(RndisMessage.SET, words(oid, value.length, 20, 0), value))[3];
  }

  /** Does what a driver does until frames flow. */
  start(version: number = NvspVersion.V61, filter = 0x0d): void {
    this.nvsp(NvspVersion.V1, NvspMessage.INIT, version, version);
    if (version >= NvspVersion.V2) this.nvsp(version, NvspMessage.SEND_NDIS_CONFIG, 1514, 0, 8, 0);
    this.nvsp(version, NvspMessage.SEND_NDIS_VERSION, 6, version >= NvspVersion.V5 ? 0x1e : 1);
    this.nvsp(version, NvspMessage.SEND_RECEIVE_BUFFER, RECEIVE_GPADL, RECEIVE_BUFFER_ID);
    this.nvsp(version, NvspMessage.SEND_SEND_BUFFER, SEND_GPADL, 0);
    this.control(RndisMessage.INITIALIZE, words(1, 0, 0x4000));
    this.set(Oid.GEN_CURRENT_PACKET_FILTER, words(filter));
  }

  /** Names of the frames and stages that were passed. */
  get path(): string[] {
    return this.steps.flatMap((step) =>
      step.kind === 'enter' ? `> ${step.frame.name}` : step.kind === 'stage' && !step.id.startsWith('fake') ? step.id : [],
    );
  }
}

export const GPADL = { RECEIVE: RECEIVE_GPADL, SEND: SEND_GPADL } as const;
