import { fillIpv4Checksum, finishFrame } from '../../../../devices/ethernet/offload.ts';
import type { InspectNode } from '../../../../devices/inspect.ts';
import type { NetworkPort } from '../../../../devices/network-port.ts';
import { formatMac } from '../../../../network/packets/addresses.ts';
import { joined, NO_BYTES } from '../../../../network/packets/bytes.ts';
import type { Handler } from '../../../../stages/stage.ts';
import {
  NdisCapability,
  NETWORK_INTERFACE,
  NO_SECTION,
  NvspMessage,
  NvspVersion,
  nvspMessage,
  nvspVersionName,
  RECEIVE_BUFFER_ID,
  RndisChannel,
} from '../../abi/nvsp.ts';
import { PacketType } from '../../abi/ring.ts';
import { packetFilterText } from '../../abi/rndis.ts';
import type { ChannelOffer, GuestPacket, HostPacket, Vsp, VspChannel } from '../../vmbus/vsp.ts';
import { deliver as deliverAtOnce, serveNetvsc as serveAtOnce } from '../generated/network.ts';
import { type NetworkService, type PlacedMessage, serveNetvsc } from '../handlers/network.ts';
import { type NvspAnswer, type NvspRequest, NvspSession } from './nvsp-session.ts';
import type { AdapterFacts } from './oids.ts';
import { type ControlRequest, LONGEST_TRANSFER, linkMessage, RndisAdapter } from './rndis-adapter.ts';
import { buildPacket, type OutgoingPacket, withoutTag, withTag } from './rndis-packet.ts';
import { channelOf } from './rss.ts';

/** What a network adapter is made of. */
export interface NetworkVspWorld {
  readonly port: NetworkPort;
  /** The adapter's address, a number of 48 bits with the byte first that goes first on the wire. */
  readonly mac: number;
  /** Channels that the guest may have: as many as it has vCPUs make sense. */
  readonly queues: number;
}

/** Frames and answers about the adapter that wait for room at most, and packets that wait for room in a channel's ring. */
const MOST_FRAMES = 256;
const MOST_ANSWERS = 64;
const MOST_PARKED = 1024;
/** Different things that a guest did wrong that are counted. */
const MOST_REFUSALS = 32;
const MOST_QUEUES = 16;
const NO_COUNTS = { sent: 0, received: 0, refused: 0, lost: 0 };

/** The network VSP of the parent partition (vmswitch.sys): the guest's adapter, whose frames go to what the partition's network is. */
export class NetworkVsp implements Vsp, NetworkService {
  readonly name = 'netvsp';
  readonly component = 'vmswitch.sys';
  readonly offer: ChannelOffer;
  private readonly queues: number;
  private readonly channels = new Map<number, VspChannel>();
  private readonly parked = new Map<VspChannel, HostPacket[]>();
  private session: NvspSession;
  private adapter: RndisAdapter;
  private isLinkUp = true;
  /** Frames, and answers about the adapter, that wait for room in the receive buffer or in a ring. */
  private frames: Uint8Array[] = [];
  private answers: Uint8Array[] = [];
  /** Subchannels that were offered. */
  private offered = 0;
  private counts = NO_COUNTS;
  private readonly refusals = new Map<string, number>();

  constructor(private readonly world: NetworkVspWorld) {
    const mac = world.mac.toString(16).padStart(12, '0');
    this.offer = { interfaceId: NETWORK_INTERFACE, instanceId: `6e657476-7370-4000-8000-${mac}` };
    this.queues = Math.max(1, Math.min(MOST_QUEUES, world.queues));
    this.session = this.newSession();
    this.adapter = this.newAdapter();
    const { arrive, setLink, isListening } = this.asCard();
    world.port.connect({
      receive: arrive,
      setLink,
      get listensForInput() {
        return isListening();
      },
    });
  }

  private newSession(): NvspSession {
    return new NvspSession(this.queues, (id) => this.channels.get(0)?.gpadl(id));
  }

  private newAdapter(): RndisAdapter {
    return new RndisAdapter(this.world.mac, () => this.facts);
  }

  private get facts(): AdapterFacts {
    const { isLinkUp, queues, session, counts } = this;
    return {
      ...counts,
      isLinkUp,
      queues: (session.version ?? 0) >= NvspVersion.V5 ? queues : 1,
      ndisMinor: session.ndisMinor,
      receiveSections: session.receiveBuffer?.count ?? 0,
      sendSections: session.sendBuffer?.count ?? 0,
    };
  }

  private count(what: keyof typeof NO_COUNTS, more = 1): void {
    this.counts = { ...this.counts, [what]: this.counts[what] + more };
  }

  // --- channels ----------------------------------------------------------------------------------------------------------

  open(channel: VspChannel): void {
    this.channels.set(channel.subchannelIndex, channel);
    const primary = this.channels.get(0);
    if (channel.subchannelIndex === 0) this.forget();
    else if (primary && this.channels.size === this.offered + 1) this.tellSendTable(primary);
  }

  /** All channels are there: the guest may send on each of them. */
  private tellSendTable(primary: VspChannel): void {
    const payload = this.session.sendTable(this.channels.size);
    const packet = { type: PacketType.DATA_IN_BAND, transactionId: 0n, payload };
    if (this.isClogged(primary) || !primary.send(packet)) this.park(primary, packet);
  }

  close(channel: VspChannel): void {
    this.parked.delete(channel);
    if (this.channels.get(channel.subchannelIndex) !== channel) return;
    this.channels.delete(channel.subchannelIndex);
    if (channel.subchannelIndex === 0) this.forget();
  }

  /** The guest begins anew, or is gone. */
  private forget(): void {
    this.session = this.newSession();
    this.adapter = this.newAdapter();
    this.frames = [];
    this.answers = [];
    this.offered = 0;
    this.parked.clear();
  }

  receive(channel: VspChannel, packet: GuestPacket): void {
    serveAtOnce(this, channel, packet);
  }
  receiveInStages(channel: VspChannel, packet: GuestPacket): Handler {
    return serveNetvsc(this, channel, packet);
  }

  hasRoom(channel: VspChannel): void {
    const waiting = this.parked.get(channel) ?? [];
    while (waiting.length > 0) {
      const [packet] = waiting;
      if (packet === undefined || !channel.send(packet)) return;
      waiting.shift();
    }
    deliverAtOnce(this);
  }

  isClogged(channel: VspChannel): boolean {
    return (this.parked.get(channel)?.length ?? 0) > 0;
  }

  park(channel: VspChannel, packet: HostPacket): void {
    const waiting = this.parked.get(channel);
    if (waiting === undefined) this.parked.set(channel, [packet]);
    else if (waiting.length < MOST_PARKED) waiting.push(packet);
    else this.refuse('let its ring be full');
  }

  completionOf({ wantsCompletion, transactionId }: GuestPacket, payload: Uint8Array): HostPacket | undefined {
    return wantsCompletion ? { type: PacketType.COMPLETION, transactionId, payload } : undefined;
  }

  // --- NVSP --------------------------------------------------------------------------------------------------------------

  answer(_channel: VspChannel, request: NvspRequest): NvspAnswer {
    return this.session.answer(request);
  }

  offerSubchannels(channel: VspChannel, count: number): void {
    this.offered = count;
    channel.offerSubchannels(count);
  }

  rndisCompletion(status: number): Uint8Array {
    return this.session.message(NvspMessage.SEND_RNDIS_PACKET_COMPLETE, status).payload;
  }

  rndisOf({ fields }: NvspRequest, { buffer }: GuestPacket): Uint8Array | string {
    const { sendBuffer, version } = this.session;
    const [kind, section, size] = fields;
    if (version === undefined) return 'sent an RNDIS packet before a version was agreed on';
    if (kind === undefined || section === undefined || size === undefined) return 'sent an RNDIS packet that is too short';
    const copied = section === NO_SECTION ? NO_BYTES : sendBuffer?.read(section, size);
    if (copied === undefined) return `named section ${section} with ${size} bytes, where the send buffer has none`;
    const length = buffer?.length ?? 0;
    if (copied.length + length > LONGEST_TRANSFER) return 'sent an RNDIS packet that is too long';
    const direct = buffer && length > 0 ? buffer.read(0, length) : NO_BYTES;
    if (direct === undefined) return 'named memory that is not there';
    return joined(copied, direct);
  }

  refuse(what: string): void {
    if (this.refusals.size < MOST_REFUSALS || this.refusals.has(what))
      this.refusals.set(what, (this.refusals.get(what) ?? 0) + 1);
  }

  // --- RNDIS -------------------------------------------------------------------------------------------------------------

  control(request: ControlRequest): { readonly message: Uint8Array; readonly status: number } | undefined {
    const answer = this.adapter.answer(request);
    if (!this.adapter.isOpen) this.frames = [];
    if (answer) this.tell(answer.message);
    return answer;
  }

  /** A message about the adapter is to go to the guest. */
  private tell(message: Uint8Array): void {
    if (this.answers.length < MOST_ANSWERS) this.answers.push(message);
    else this.refuse('let answers about its adapter wait');
  }

  finish(packet: OutgoingPacket): readonly Uint8Array[] {
    const { frame, wishes, needsIpChecksum, tag } = packet;
    const isReady = this.adapter.isInitialized && (!needsIpChecksum || fillIpv4Checksum(frame));
    const frames = isReady ? finishFrame(wishes, frame) : undefined;
    if (frames === undefined) this.count('refused');
    return (frames ?? []).map((piece) => (tag === undefined ? piece : withTag(piece, tag)));
  }

  transmit(frame: Uint8Array): void {
    if (!this.isLinkUp) return;
    this.count('sent');
    this.world.port.transmit(frame);
  }

  // --- to the guest ------------------------------------------------------------------------------------------------------

  private asCard() {
    return {
      arrive: (frame: Uint8Array) => {
        if (!this.isLinkUp || !this.adapter.wants(frame)) return;
        if (this.frames.length >= MOST_FRAMES) {
          this.count('lost');
          return;
        }
        this.frames.push(frame);
        deliverAtOnce(this);
      },
      setLink: (isUp: boolean) => {
        if (isUp === this.isLinkUp) return;
        this.isLinkUp = isUp;
        if (!this.adapter.isInitialized) return;
        this.tell(linkMessage(isUp));
        deliverAtOnce(this);
      },
      isListening: () => this.isLinkUp && this.adapter.isOpen && this.session.receiveBuffer !== undefined,
    };
  }

  get waiting(): number {
    return this.answers.length + this.frames.length;
  }

  place(): PlacedMessage | undefined {
    const { receiveBuffer } = this.session;
    const [answer] = this.answers;
    const [frame] = this.frames;
    const primary = this.channels.get(0);
    if (receiveBuffer === undefined || primary === undefined || (answer ?? frame) === undefined) return undefined;
    const channel = answer || frame === undefined ? primary : this.channelFor(frame, primary);
    if (this.isClogged(channel)) return undefined;
    const message = answer ?? this.packetOf(frame ?? NO_BYTES);
    const placed = receiveBuffer.put(message);
    if (placed === undefined) {
      // Without a free section it waits; where the memory can't be written, nothing ever gets there.
      if (receiveBuffer.hasRoom) this.drop(answer !== undefined);
      return undefined;
    }
    const { section, offset } = placed;
    const kind = answer ? RndisChannel.CONTROL : RndisChannel.DATA;
    const packet: HostPacket = {
      type: PacketType.DATA_TRANSFER_PAGES,
      transactionId: BigInt(section) + 1n,
      wantsCompletion: true,
      payload: nvspMessage(this.session.version ?? NvspVersion.V1, NvspMessage.SEND_RNDIS_PACKET, kind, NO_SECTION, 0),
      transferPages: { set: RECEIVE_BUFFER_ID, ranges: [{ count: message.length, offset }] },
    };
    return { channel, packet, section, bytes: message.length, isControl: answer !== undefined };
  }

  private channelFor(frame: Uint8Array, primary: VspChannel): VspChannel {
    const { scaling } = this.adapter;
    return (scaling && this.channels.get(channelOf(scaling, frame))) ?? primary;
  }

  /** A guest that knows virtual networks gets their tags beside the frames. */
  private packetOf(frame: Uint8Array): Uint8Array {
    if (!(this.session.capabilities & NdisCapability.IEEE_8021Q)) return buildPacket(frame);
    const { frame: bare, tag } = withoutTag(frame);
    return buildPacket(bare, tag);
  }

  private drop(isAnswer: boolean): void {
    if (isAnswer) this.answers.shift();
    else this.frames.shift();
    this.count('lost');
    this.refuse('gave a receive buffer that is not there');
  }

  placed({ isControl }: PlacedMessage): void {
    if (isControl) this.answers.shift();
    else this.frames.shift();
    if (!isControl) this.count('received');
  }

  takeBack({ section }: PlacedMessage): void {
    this.session.receiveBuffer?.release(section);
  }

  release(transactionId: bigint): boolean {
    return this.session.receiveBuffer?.release(Number(BigInt.asUintN(32, transactionId - 1n))) ?? false;
  }

  // --- as a part of a partition ------------------------------------------------------------------------------------------

  reset(): void {
    this.channels.clear();
    this.forget();
    this.isLinkUp = true;
    this.counts = NO_COUNTS;
    this.refusals.clear();
  }

  inspect(): InspectNode {
    const { session, adapter, counts } = this;
    const { receiveBuffer, sendBuffer, version } = session;
    const buffers = (count: number | undefined) => (count === undefined ? 'none' : `${count} sections`);
    return {
      name: this.name,
      value: adapter.isOpen ? 'open' : adapter.isInitialized ? 'initialized' : 'waits for a driver',
      children: [
        { name: 'version', value: version === undefined ? 'none' : nvspVersionName(version) },
        { name: 'address', value: formatMac(adapter.mac) },
        { name: 'link', value: this.isLinkUp ? 'up' : 'down' },
        { name: 'packet filter', value: packetFilterText(adapter.filter) },
        { name: 'receive buffer', value: buffers(receiveBuffer?.count), detail: `${receiveBuffer?.inUse ?? 0} are the guest's` },
        { name: 'send buffer', value: buffers(sendBuffer?.count) },
        {
          name: 'channels',
          value: String(this.channels.size),
          detail: adapter.scaling ? 'frames are spread over them' : undefined,
        },
        { name: 'data path', value: session.isDataPathSwitched ? 'virtual function' : 'synthetic' },
        { name: 'frames sent', value: String(counts.sent), detail: `${counts.refused} were refused` },
        {
          name: 'frames received',
          value: String(counts.received),
          detail: `${this.frames.length} wait, ${counts.lost} were lost`,
        },
        {
          name: 'mistakes of the guest',
          value: String([...this.refusals.values()].reduce((sum, times) => sum + times, 0)),
          children: [...this.refusals].map(([name, times]) => ({ name, value: `${times} times` })),
        },
      ],
    };
  }
}
