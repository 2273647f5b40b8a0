import type { Clock } from '../devices/device.ts';
import type { InspectNode } from '../devices/inspect.ts';
import type { NetworkCard, NetworkDevice } from '../devices/network-port.ts';
import { requireVersion } from '../devices/state.ts';
import type { Gateway } from './gateway.ts';
import { decodeEvent, type MovableOutside, NOWHERE, type OutsideEvent } from './outside.ts';
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
  /** How far the user network's time is ahead of the partition's, in ticks, where it was another partition's before. */
  readonly userAhead?: bigint;
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
  readonly outside?: MovableOutside;
  /** The partition's input door, for what happens outside of a user network that it takes over. */
  readonly door?: (event: OutsideEvent) => void;
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

/** A user network that is on its way from another partition, with what has happened outside meanwhile. */
interface Arriving {
  readonly gateway: Gateway;
  readonly events: OutsideEvent[];
}

/**
 * The cable of a partition, and what is at its other end: a user network, a switch, or both, which then are one network. When the partition
 * ends, its user network goes on with another one at the switch: its time is that of a partition that runs.
 */
export class PartitionNetwork implements NetworkDevice {
  readonly name = 'network';
  private card: NetworkCard | undefined;
  /** The one that the partition has brought. */
  private readonly own: UserNetwork | undefined;
  private user: UserNetwork | undefined;
  private userOptions: UserNetworkOptions | undefined;
  private outside: MovableOutside | undefined;
  private userAhead = 0n;
  private arriving: Arriving | undefined;
  private readonly toUser: Wire;
  private readonly toCard: Wire;
  private readonly fromSwitch: Wire;
  private readonly client: SwitchClient | undefined;
  private isOver = false;
  private hasGuestEnded = false;
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
    this.own = user && new UserNetwork({ clock, outside: outside ?? NOWHERE, send: (frame) => this.sendByUser(frame) }, user);
    this.user = this.own;
    this.userOptions = user;
    this.outside = outside;
    this.client = plugged && {
      name,
      hostTime: () => plugged.time.hostTime(),
      arrive: (frame, hostTime) => {
        this.fromSwitch.send(frame, plugged.time.localTime(hostTime));
        plugged.time.wake();
      },
      adopt: (gateway, hostTime) => this.adopt(gateway, plugged.time, hostTime),
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
    if (this.user === undefined) return;
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
    else if (event && this.arriving) this.arriving.events.push(event);
    else if (event) this.user?.happened(event);
  }

  guestEnded(): void {
    this.hasGuestEnded = true;
    const gateway = this.arriving?.gateway ?? this.gateway();
    if (gateway === undefined || this.client === undefined) return;
    if (this.parts.switch?.to.passOn(this.client, gateway)) this.forgetUser();
  }

  /** The user network as another partition gets it. */
  private gateway(): Gateway | undefined {
    if (this.user === undefined || this.userOptions === undefined) return undefined;
    const now = this.clock.now() + this.userAhead;
    return { options: this.userOptions, state: this.user.save(), now, outside: this.outside };
  }

  private forgetUser(): void {
    this.arriving = undefined;
    this.user = undefined;
    this.userOptions = undefined;
    this.outside = undefined;
  }

  private adopt(gateway: Gateway, time: HostTime, hostTime: bigint): boolean {
    // A switch has one user network.
    if (this.isOver || this.hasGuestEnded || this.user !== undefined || this.arriving !== undefined) return false;
    this.arriving = { gateway, events: [] };
    gateway.outside?.leadTo((event) => this.parts.door?.(event));
    this.clock.schedule(time.localTime(hostTime), () => this.settle());
    time.wake();
    return true;
  }

  /** The user network that was on its way goes on here: for it, no time has passed. */
  private settle(): void {
    if (this.arriving === undefined) return;
    const { gateway, events } = this.arriving;
    this.forgetUser();
    const { clock } = this;
    const ahead = gateway.now - clock.now();
    const shifted: Clock = {
      now: () => clock.now() + ahead,
      schedule: (when, callback) => clock.schedule(when - ahead, callback),
      cancel: (handle) => clock.cancel(handle),
    };
    const world = { clock: shifted, outside: gateway.outside ?? NOWHERE, send: (frame: Uint8Array) => this.sendByUser(frame) };
    this.user = new UserNetwork(world, gateway.options);
    this.userOptions = gateway.options;
    this.outside = gateway.outside;
    this.userAhead = ahead;
    this.user.restore(gateway.state);
    for (const event of events) this.user.happened(event);
  }

  disconnect(): void {
    if (this.isOver) return;
    this.guestEnded();
    this.isOver = true;
    (this.arriving?.gateway.outside ?? this.outside)?.end();
    this.parts.capture?.close();
    if (this.client) this.parts.switch?.to.unplug(this.client);
  }

  reset(): void {
    // A partition begins with what it was made with.
    this.forgetUser();
    this.user = this.own;
    this.userOptions = this.parts.user;
    this.outside = this.parts.outside;
    this.userAhead = 0n;
    this.hasGuestEnded = false;
    this.user?.reset();
    for (const wire of [this.toUser, this.toCard, this.fromSwitch]) wire.reset();
  }
  save(): PartitionNetworkState {
    const [toUser, toCard, fromSwitch] = [this.toUser.save(), this.toCard.save(), this.fromSwitch.save()];
    const state = { version: 1, toUser, toCard, fromSwitch, user: this.user?.save() } as const;
    return this.userAhead === 0n ? state : { ...state, userAhead: this.userAhead };
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
