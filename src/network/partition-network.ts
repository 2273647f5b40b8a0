import type { Clock } from '../devices/device.ts';
import type { InspectNode } from '../devices/inspect.ts';
import type { NetworkCard, NetworkDevice } from '../devices/network-port.ts';
import { requireVersion } from '../devices/state.ts';
import { decodeEvent, NOWHERE, type OutsideConnection } from './outside.ts';
import type { SwitchClient, VirtualSwitch } from './switch/virtual-switch.ts';
import type { UserNetworkOptions } from './user/options.ts';
import { UserNetwork, type UserNetworkState } from './user/user-network.ts';
import { type FrameInFlight, Wire } from './wire.ts';

export interface PartitionNetworkState {
  readonly version: 1;
  readonly toUser: readonly FrameInFlight[];
  readonly toCard: readonly FrameInFlight[];
  readonly fromSwitch: readonly FrameInFlight[];
  readonly user: UserNetworkState | undefined;
}

/** A partition's place in the time of its host. */
export interface HostTime {
  hostTime(): bigint;
  /** The guest time at a time of the host; what has passed already for the guest is now. */
  localTime(hostTime: bigint): bigint;
  /** Something came for it while it may have nothing to do. */
  wake(): void;
}

/** What a partition's network card is plugged into. */
export interface NetworkParts {
  readonly user?: UserNetworkOptions;
  readonly switch?: { readonly to: VirtualSwitch; readonly time: HostTime };
  /** How the user network reaches services outside; nothing is there when missing. */
  readonly outside?: OutsideConnection;
  readonly capture?: Capture;
}

/** Where frames that the card sends or gets are written down. */
export interface Capture {
  /** `ticks`: guest time. */
  write(ticks: bigint, frame: Uint8Array): void;
  close(): void;
}

/** Ticks between the card and the user network: 10 µs. */
const LATENCY = 10_000n;
/** An Ethernet header, a packet of 1500 bytes, and the tag of a virtual network. */
const LONGEST_FRAME = 14 + 1500 + 4;
const SHORTEST_FRAME = 14;

/** The cable of a partition, and what is at its other end: a user network, a switch, or both, which then are one network. */
export class PartitionNetwork implements NetworkDevice {
  readonly name = 'network';
  private card: NetworkCard | undefined;
  private readonly user: UserNetwork | undefined;
  private readonly toUser: Wire;
  private readonly toCard: Wire;
  private readonly fromSwitch: Wire;
  private readonly client: SwitchClient | undefined;
  private isOver = false;
  private readonly toSwitch: (frame: Uint8Array) => void;

  constructor(
    private readonly clock: Clock,
    private readonly parts: NetworkParts,
    name: string,
  ) {
    const { user, outside, switch: plugged } = parts;
    this.toUser = new Wire(clock, (frame) => this.user?.receive(frame));
    this.toCard = new Wire(clock, (frame) => this.give(frame));
    this.fromSwitch = new Wire(clock, (frame) => {
      this.give(frame);
      this.user?.receive(frame);
    });
    this.user = user && new UserNetwork({ clock, outside: outside ?? NOWHERE, send: (frame) => this.sendByUser(frame) }, user);
    this.client = plugged && {
      name,
      hostTime: () => plugged.time.hostTime(),
      arrive: (frame, hostTime) => {
        this.fromSwitch.send(frame, plugged.time.localTime(hostTime));
        plugged.time.wake();
      },
    };
    this.toSwitch = plugged && this.client ? plugged.to.plug(this.client) : () => {};
  }

  connect(card: NetworkCard): void {
    this.card = card;
  }

  get isOpen(): boolean {
    return this.client !== undefined || this.user?.isOpen === true;
  }

  get listensForInput(): boolean {
    return this.isOpen && this.card?.listensForInput === true;
  }

  transmit(frame: Uint8Array): void {
    if (this.isOver || frame.length < SHORTEST_FRAME || frame.length > LONGEST_FRAME) return;
    this.parts.capture?.write(this.clock.now(), frame);
    if (this.user) this.toUser.send(frame, this.clock.now() + LATENCY);
    this.toSwitch(frame);
  }

  private sendByUser(frame: Uint8Array): void {
    this.toCard.send(frame, this.clock.now() + LATENCY);
    this.toSwitch(frame);
  }

  private give(frame: Uint8Array): void {
    if (this.isOver) return;
    this.parts.capture?.write(this.clock.now(), frame);
    this.card?.receive(frame);
  }

  happened(bytes: Uint8Array): void {
    const event = decodeEvent(bytes);
    if (event?.kind === 'link') this.card?.setLink(event.isUp);
    else if (event) this.user?.happened(event);
  }

  disconnect(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.parts.outside?.end();
    this.parts.capture?.close();
    if (this.client) this.parts.switch?.to.unplug(this.client);
  }

  reset(): void {
    this.user?.reset();
    for (const wire of [this.toUser, this.toCard, this.fromSwitch]) wire.reset();
  }
  save(): PartitionNetworkState {
    const [toUser, toCard, fromSwitch] = [this.toUser.save(), this.toCard.save(), this.fromSwitch.save()];
    return { version: 1, toUser, toCard, fromSwitch, user: this.user?.save() };
  }
  restore(state: PartitionNetworkState): void {
    requireVersion(this.name, state, 1);
    if (state.user) this.user?.restore(state.user);
    this.toUser.restore(state.toUser);
    this.toCard.restore(state.toCard);
    this.fromSwitch.restore(state.fromSwitch);
  }
  inspect(): InspectNode {
    const lost = this.toUser.lost + this.toCard.lost + this.fromSwitch.lost;
    const children = [this.user?.inspect(), this.parts.switch?.to.inspect()].flatMap((node) => node ?? []);
    return { name: this.name, detail: lost > 0 ? `${lost} frames were lost on the way` : undefined, children };
  }
}
