import type { Handler } from '../../../stages/stage.ts';
import { finishFrame } from '../../ethernet/offload.ts';
import { accepts, OPEN_FILTER, type ReceiveFilter } from '../../ethernet/receive-filter.ts';
import type { InspectNode } from '../../inspect.ts';
import type { NetworkCard, NetworkPort } from '../../network-port.ts';
import { requireVersion } from '../../state.ts';
import { DeviceId, featureBit, featureBits } from '../abi.ts';
import {
  fillBuffers as fillBuffersAtOnce,
  obeyCommands as obeyCommandsAtOnce,
  sendFrames as sendFramesAtOnce,
} from '../generated/network.ts';
import { fillBuffers, type NetworkWork, obeyCommands, sendFrames } from '../handlers/network.ts';
import type { DriverSide, VirtioModel } from '../model.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { QueueError } from '../queue/queue-error.ts';
import type { Virtqueue } from '../queue/virtqueue.ts';
import { type ControlCommand, control } from './control.ts';
import * as R from './registers.ts';
import { type TransmitHeader, wishesOf } from './transmit-header.ts';

export interface VirtioNetworkState {
  readonly version: 1;
  readonly mac: number;
  readonly filter: ReceiveFilter;
  readonly isLinkUp: boolean;
  readonly backlog: readonly Uint8Array[];
  readonly counts: Counts;
}

export interface VirtioNetworkWorld {
  readonly port: NetworkPort;
  /** The card's address, a number of 48 bits with the byte first that goes first on the wire. */
  readonly mac: number;
}

interface Counts {
  readonly received: number;
  readonly sent: number;
  /** Frames that came and found no room. */
  readonly lost: number;
  /** Frames whose headers ask for what can't be done. */
  readonly refused: number;
}

const QUEUE_SIZE = 256;
const CONTROL_SIZE = 64;
export const MTU = 1500;
/** Frames that wait for buffers at most. */
const MOST_WAITING = 256;
/** Buffers that one frame may be spread over, however short they are. */
const MOST_BUFFERS = 32;
const NO_COUNTS: Counts = { received: 0, sent: 0, lost: 0, refused: 0 };

/** The network device (virtio 1.2, 5.1): one pair of queues, and a control queue. */
export class VirtioNetwork implements VirtioModel<VirtioNetworkState>, NetworkCard, NetworkWork {
  readonly name = 'virtio-net';
  readonly id = DeviceId.NETWORK;
  readonly queues = [
    { name: 'receive', size: QUEUE_SIZE },
    { name: 'transmit', size: QUEUE_SIZE },
    { name: 'control', size: CONTROL_SIZE },
  ];
  readonly features = featureBits(...Object.values(R.NetworkFeature));
  readonly featureBits = R.NetworkFeature;
  private driver: DriverSide | undefined;
  private mac: number;
  private filter = OPEN_FILTER;
  private isLinkUp = true;
  private backlog: Uint8Array[] = [];
  private counts = NO_COUNTS;

  constructor(private readonly world: VirtioNetworkWorld) {
    this.mac = world.mac;
    world.port.connect(this);
  }

  connect(driver: DriverSide): void {
    this.driver = driver;
  }

  private has(feature: number): boolean {
    return ((this.driver?.features ?? 0n) & featureBit(feature)) !== 0n;
  }

  configuration(): Uint8Array {
    const view = new DataView(new ArrayBuffer(R.CONFIGURATION_SIZE));
    view.setUint16(R.Place.MAC, Math.floor(this.mac / 0x1_0000_0000));
    view.setUint32(R.Place.MAC + 2, this.mac % 0x1_0000_0000);
    view.setUint16(R.Place.STATUS, this.isLinkUp ? R.LINK_UP : 0, true);
    view.setUint16(R.Place.PAIRS, 1, true);
    view.setUint16(R.Place.MTU, MTU, true);
    return new Uint8Array(view.buffer);
  }

  /** Whether a driver is there to take what comes from the network. */
  get listensForInput(): boolean {
    return this.isLinkUp && this.driver?.queue(R.Queue.RECEIVE) !== undefined;
  }

  setLink(isUp: boolean): void {
    if (isUp === this.isLinkUp) return;
    this.isLinkUp = isUp;
    this.driver?.configurationChanged();
  }

  notified(queue: number): void {
    const { driver } = this;
    if (driver === undefined) return;
    if (queue === R.Queue.RECEIVE) fillBuffersAtOnce(this);
    else if (queue === R.Queue.TRANSMIT) sendFramesAtOnce(this, driver, queue);
    else obeyCommandsAtOnce(this, driver, queue);
  }
  *notifiedInStages(queue: number): Handler {
    const { driver } = this;
    if (driver === undefined) return;
    if (queue === R.Queue.RECEIVE) yield* fillBuffers(this);
    else if (queue === R.Queue.TRANSMIT) yield* sendFrames(this, driver, queue);
    else yield* obeyCommands(this, driver, queue);
  }

  get waiting(): number {
    return this.backlog.length;
  }

  private count(change: Partial<Counts>): void {
    const { received, sent, lost, refused } = this.counts;
    const { received: more = 0, sent: out = 0, lost: away = 0, refused: bad = 0 } = change;
    this.counts = { received: received + more, sent: sent + out, lost: lost + away, refused: refused + bad };
  }

  // --- receiving ---------------------------------------------------------------------------------------------------------

  receive(frame: Uint8Array): void {
    if (!this.listensForInput || !accepts(this.wanted, this.mac, frame)) return;
    if (this.backlog.length >= MOST_WAITING) {
      this.count({ lost: 1 });
      return;
    }
    this.backlog.push(frame);
    this.driver?.attempt(() => this.deliver());
  }

  /** A driver that may choose virtual networks gets none before it does. */
  private get wanted(): ReceiveFilter {
    const { vlans = this.has(R.NetworkFeature.CTRL_VLAN) ? [] : undefined } = this.filter;
    return { ...this.filter, vlans };
  }

  /** Fills the driver's buffers with frames that have come. */
  deliver(): void {
    const queue = this.driver?.queue(R.Queue.RECEIVE);
    if (queue === undefined) return;
    // While nothing waits, new buffers are no news.
    queue.wantNotifications(this.backlog.length > 0);
    for (let left = queue.layout.size; left > 0; ) {
      const [frame] = this.backlog;
      const used = frame && this.place(queue, frame, left);
      if (used === undefined) break;
      left -= used;
      this.backlog.shift();
    }
    queue.wantNotifications(this.backlog.length > 0);
    this.driver?.signal(R.Queue.RECEIVE);
  }

  /** Puts a frame into the next buffers; how many they were, or undefined while there are too few. */
  private place(queue: Virtqueue, frame: Uint8Array, left: number): number | undefined {
    const length = R.HEADER_SIZE + frame.length;
    const most = this.has(R.NetworkFeature.MRG_RXBUF) ? MOST_BUFFERS : 1;
    const chains: DescriptorChain[] = [];
    let room = 0;
    while (room < length && chains.length < Math.min(left, most)) {
      const chain = queue.take();
      if (chain === undefined) break;
      chains.push(chain);
      if (chain.writable.length === 0) throw new QueueError('a buffer for a frame has no room that the device may write');
      room += chain.writable.length;
    }
    if (room < length) {
      for (const chain of chains.reverse()) queue.putBack(chain);
      if (chains.length < most) return undefined;
      // The buffers are too small for it; the next frame may fit.
      this.count({ lost: 1 });
      return chains.length;
    }
    const bytes = new Uint8Array(length);
    if (this.has(R.NetworkFeature.GUEST_CSUM)) bytes[R.Header.FLAGS] = R.HeaderFlag.DATA_VALID;
    new DataView(bytes.buffer).setUint16(R.Header.BUFFERS, chains.length, true);
    bytes.set(frame, R.HEADER_SIZE);
    let at = 0;
    for (const chain of chains) {
      const piece = bytes.subarray(at, at + chain.writable.length);
      chain.writable.write(0, piece);
      queue.giveBack(chain, piece.length);
      at += piece.length;
    }
    this.count({ received: 1 });
    return chains.length;
  }

  // --- sending, and what the driver wants --------------------------------------------------------------------------------

  finish(header: TransmitHeader, frame: Uint8Array): readonly Uint8Array[] {
    const isKnown =
      (header.checksum === undefined || this.has(R.NetworkFeature.CSUM)) &&
      (header.gsoType === R.Gso.NONE || this.has(R.NetworkFeature.HOST_TSO4));
    const wishes = isKnown ? wishesOf(header) : undefined;
    const frames = wishes && finishFrame(wishes, frame);
    if (frames === undefined) this.count({ refused: 1 });
    return frames ?? [];
  }

  send(frame: Uint8Array): void {
    if (!this.isLinkUp) return;
    this.count({ sent: 1 });
    this.world.port.transmit(frame);
  }

  obey(command: ControlCommand): boolean {
    const after = control({ filter: this.filter, mac: this.mac }, command, (feature) => this.has(feature));
    if (after === undefined) return false;
    this.filter = after.filter;
    this.mac = after.mac;
    return true;
  }

  // --- as a part of a machine --------------------------------------------------------------------------------------------

  disconnect(): void {
    this.filter = OPEN_FILTER;
    this.mac = this.world.mac;
    this.backlog = [];
  }
  reset(): void {
    this.disconnect();
    this.isLinkUp = true;
    this.counts = NO_COUNTS;
  }
  save(): VirtioNetworkState {
    const { mac, filter, isLinkUp, counts } = this;
    return { version: 1, mac, filter, isLinkUp, backlog: [...this.backlog], counts };
  }
  restore(state: VirtioNetworkState): void {
    requireVersion(this.name, state, 1);
    this.mac = state.mac;
    this.filter = state.filter;
    this.isLinkUp = state.isLinkUp;
    this.backlog = [...state.backlog];
    this.counts = state.counts;
  }
  inspect(): readonly InspectNode[] {
    const { received, sent, lost, refused } = this.counts;
    const mac = (this.mac.toString(16).padStart(12, '0').match(/../g) ?? []).join(':');
    return [
      { name: 'address', value: mac, detail: this.filter.promiscuous ? 'takes all frames' : 'takes its own frames' },
      { name: 'link', value: this.isLinkUp ? 'up' : 'down' },
      { name: 'frames received', value: String(received), detail: `${this.backlog.length} wait for buffers, ${lost} were lost` },
      { name: 'frames sent', value: String(sent), detail: `${refused} were refused for their headers` },
    ];
  }
}
