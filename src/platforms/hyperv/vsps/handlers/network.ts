import { formatMac } from '../../../../network/packets/addresses.ts';
import { parseEthernet } from '../../../../network/packets/ethernet.ts';
import { type Handler, type HandlerFrame, inFrame, type StageValue, stage } from '../../../../stages/stage.ts';
import { NO_SECTION, NvspMessage, NvspStatus, nvspMessageName, nvspStatusName, RndisChannel } from '../../abi/nvsp.ts';
import { PacketType } from '../../abi/ring.ts';
import { oidName, RndisMessage, rndisMessageName, rndisStatusName } from '../../abi/rndis.ts';
import { parentFrame } from '../../hyperv.ts';
import type { GuestPacket, HostPacket, VspChannel } from '../../vmbus/vsp.ts';
import type { NvspAnswer, NvspRequest } from '../network/nvsp-session.ts';
import { readNvsp } from '../network/nvsp-session.ts';
import { type ControlRequest, readRequest } from '../network/rndis-adapter.ts';
import { type OutgoingPacket, readPacket, splitMessages } from '../network/rndis-packet.ts';

/** The network VSP as it serves packets of the guest. */
export interface NetworkService {
  /** The guest has read a message of a transaction, and its section of the receive buffer is free. False where there was none. */
  release(transactionId: bigint): boolean;
  /** Follows a message that has to do with NVSP itself. */
  answer(channel: VspChannel, request: NvspRequest): NvspAnswer;
  /** Subchannels may be opened from now on. */
  offerSubchannels(channel: VspChannel, count: number): void;
  /** The RNDIS messages that a packet leads to; the reason where there are none. */
  rndisOf(request: NvspRequest, packet: GuestPacket): Uint8Array | string;
  /** What a packet with RNDIS messages is completed with. */
  rndisCompletion(status: number): Uint8Array;
  /** Follows a request about the adapter; what it is answered with. */
  control(request: ControlRequest): { readonly message: Uint8Array; readonly status: number } | undefined;
  /** The frames that go out for a packet: none where what it asks for can't be done. */
  finish(packet: OutgoingPacket): readonly Uint8Array[];
  /** Puts a frame on the network. */
  transmit(frame: Uint8Array): void;
  /** Enters what the guest did wrong. */
  refuse(what: string): void;
  /** Whether packets wait for room in a channel's ring, so that others wait behind them. */
  isClogged(channel: VspChannel): boolean;
  /** Keeps a packet until there is room. */
  park(channel: VspChannel, packet: HostPacket): void;
  /** The answer to a packet; undefined where the guest wants none. */
  completionOf(packet: GuestPacket, payload: Uint8Array): HostPacket | undefined;
  /** What waits for the guest: messages about its adapter, and frames. */
  readonly waiting: number;
  /** Puts what waits first into the receive buffer; undefined where nothing can be put there. */
  place(): PlacedMessage | undefined;
  /** A message is on its way: it waits no more. */
  placed(message: PlacedMessage): void;
  /** The channel had no room for a message. */
  takeBack(message: PlacedMessage): void;
}

/** A message in a section of the receive buffer. */
export interface PlacedMessage {
  readonly channel: VspChannel;
  readonly packet: HostPacket;
  readonly section: number;
  readonly bytes: number;
  readonly isControl: boolean;
}

/** The network VSP takes a packet of the guest's netvsc. */
export function* serveNetvsc(service: NetworkService, channel: VspChannel, packet: GuestPacket): Handler {
  yield* inFrame(netvspFrame(packet), servePacket(service, channel, packet));
}

function netvspFrame({ type, payload }: GuestPacket): HandlerFrame {
  const message = type === PacketType.COMPLETION ? undefined : readNvsp(payload);
  return parentFrame('vmswitch.sys', `netvsp: ${message ? nvspMessageName(message.type) : 'completion'}`);
}

function* servePacket(service: NetworkService, channel: VspChannel, packet: GuestPacket): Handler {
  if (packet.type === PacketType.COMPLETION) {
    yield stage('netvsp-receive.completed', { transaction: packet.transactionId });
    if (!service.release(packet.transactionId)) service.refuse('completed what it did not get');
    yield* deliver(service);
    return;
  }
  const request = readNvsp(packet.payload);
  yield stage('netvsp.message', {
    type: request ? nvspMessageName(request.type) : 'none',
    channel: channel.id,
    transaction: packet.transactionId,
    bytes: packet.payload.length,
  });
  if (request === undefined) {
    service.refuse('sent a message without a type');
    yield* reply(service, channel, packet, packet.payload.subarray(0, 0));
  } else if (request.type === NvspMessage.SEND_RNDIS_PACKET) {
    yield* serveRndis(service, channel, packet, request);
  } else {
    const answer = service.answer(channel, request);
    yield stage('netvsp.answer', { status: nvspStatusName(answer.status), subchannels: answer.subchannels ?? 0 });
    if (answer.status !== NvspStatus.SUCCESS) service.refuse(`sent ${nvspMessageName(request.type)} in vain`);
    yield* reply(service, channel, packet, answer.payload);
    if (answer.subchannels) service.offerSubchannels(channel, answer.subchannels);
  }
}

/** Completes a packet, if its sender wants that. */
function* reply(service: NetworkService, channel: VspChannel, packet: GuestPacket, payload: Uint8Array): Handler {
  const completion = service.completionOf(packet, payload);
  if (completion === undefined) return;
  yield stage('netvsp.complete', { channel: channel.id, transaction: completion.transactionId, bytes: payload.length });
  if (service.isClogged(channel)) {
    service.park(channel, completion);
    return;
  }
  const isSent = yield* channel.sendInStages(completion);
  if (!isSent) service.park(channel, completion);
}

/** NVSP_MSG1_TYPE_SEND_RNDIS_PKT: one or more messages of RNDIS, in a section of the send buffer, by GPA direct, or partly in both. */
function* serveRndis(service: NetworkService, channel: VspChannel, packet: GuestPacket, request: NvspRequest): Handler {
  const [kind, section = NO_SECTION, size = 0] = request.fields;
  yield stage('netvsp-rndis.find', {
    channel: kind === RndisChannel.CONTROL ? 'control' : 'data',
    section: section === NO_SECTION ? 'none' : section,
    inSection: section === NO_SECTION ? 0 : size,
    direct: packet.buffer?.length ?? 0,
  });
  const bytes = service.rndisOf(request, packet);
  const messages = typeof bytes === 'string' ? undefined : splitMessages(bytes);
  yield stage('netvsp-rndis.split', {
    bytes: typeof bytes === 'string' ? bytes : bytes.length,
    messages: messages?.length ?? 'they are not whole',
  });
  let isDone = messages !== undefined;
  if (typeof bytes === 'string') service.refuse(bytes);
  else if (messages === undefined) service.refuse('sent RNDIS messages that are not whole');
  for (const message of messages ?? []) {
    const isServed = yield* inFrame(rndisFrame(message), serveMessage(service, message));
    isDone = isDone && isServed;
  }
  const status = isDone ? NvspStatus.SUCCESS : NvspStatus.INVALID_RNDIS_PACKET;
  yield stage('netvsp-rndis.done', { status: nvspStatusName(status) });
  yield* reply(service, channel, packet, service.rndisCompletion(status));
  yield* deliver(service);
}

function typeOf(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(0, true);
}

function rndisFrame(message: Uint8Array): HandlerFrame {
  const type = typeOf(message);
  const name = type === RndisMessage.PACKET ? 'send RNDIS packet' : rndisMessageName(type);
  return parentFrame('vmswitch.sys', `netvsp: ${name}`);
}

/** Whether the message could be followed. */
function* serveMessage(service: NetworkService, message: Uint8Array): Handler<boolean> {
  if (typeOf(message) === RndisMessage.PACKET) return yield* sendPacket(service, message);
  const request = readRequest(message);
  yield stage('netvsp-rndis.request', {
    type: rndisMessageName(typeOf(message)),
    id: request?.id ?? 'none',
    oid: request?.oid === undefined ? 'none' : oidName(request.oid),
    bytes: request?.value.length ?? 0,
  });
  if (request === undefined) {
    service.refuse(`sent ${rndisMessageName(typeOf(message))} that is too short`);
    return false;
  }
  const answer = service.control(request);
  yield stage(
    'netvsp-rndis.answer',
    answer ? { status: rndisStatusName(answer.status), bytes: answer.message.length } : { status: 'none' },
  );
  return true;
}

function* sendPacket(service: NetworkService, message: Uint8Array): Handler<boolean> {
  const packet = readPacket(message);
  yield stage('netvsp-rndis.packet', packetValues(packet));
  if (typeof packet === 'string') {
    service.refuse(`sent a packet: ${packet}`);
    return false;
  }
  const frames = service.finish(packet);
  yield stage('netvsp-rndis.transmit', { frames: frames.length, bytes: frames.reduce((sum, { length }) => sum + length, 0) });
  for (const frame of frames) yield* inFrame(parentFrame('vmswitch.sys', 'virtual switch: forward'), forward(service, frame));
  return frames.length > 0;
}

function* forward(service: NetworkService, frame: Uint8Array): Handler {
  yield stage('netvsp-switch.forward', frameValues(frame));
  service.transmit(frame);
}

/** What a stage shows of a packet. */
function packetValues(packet: OutgoingPacket | string): Readonly<Record<string, StageValue>> {
  if (typeof packet === 'string') return { note: packet };
  const { frame, wishes, tag } = packet;
  const { checksum, segmentSize } = wishes;
  return {
    ...frameValues(frame),
    checksum: checksum ? `from ${checksum.start}, at ${checksum.start + checksum.offset}` : 'none',
    segments: segmentSize === undefined ? 'not cut' : `of ${segmentSize} bytes`,
    vlan: tag === undefined ? 'none' : tag & 0xfff,
  };
}

const ETHER_TYPES: ReadonlyMap<number, string> = new Map([
  [0x0800, 'IPv4'],
  [0x0806, 'ARP'],
  [0x8100, '802.1Q'],
  [0x86dd, 'IPv6'],
]);

function frameValues(frame: Uint8Array): Readonly<Record<string, StageValue>> {
  const ethernet = parseEthernet(frame);
  if (ethernet === undefined) return { bytes: frame.length };
  const { destination, source, etherType } = ethernet;
  return {
    bytes: frame.length,
    destination: formatMac(destination),
    source: formatMac(source),
    etherType: ETHER_TYPES.get(etherType) ?? `0x${etherType.toString(16)}`,
  };
}

/** Brings what waits for the guest into its receive buffer, by packets of transfer pages. */
export function* deliver(service: NetworkService): Handler {
  for (let left = service.waiting; left > 0; left--) {
    const message = service.place();
    if (message === undefined) return;
    yield stage('netvsp-receive.place', {
      what: message.isControl ? 'RNDIS answer' : 'RNDIS packet',
      channel: message.channel.id,
      section: message.section,
      bytes: message.bytes,
    });
    const isSent = yield* message.channel.sendInStages(message.packet);
    if (isSent) service.placed(message);
    else {
      service.takeBack(message);
      return;
    }
  }
}
