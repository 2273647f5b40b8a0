import type { Clock } from '../../../devices/device.ts';
import type { DmaMemory } from '../../../devices/dma.ts';
import { type Handler, type HandlerFrame, inFrame } from '../../../stages/stage.ts';
import { PACKET_FOOTER, RING_PAGE } from '../abi/ring.ts';
import { parentFrame } from '../hyperv.ts';
import { sendPacket as sendAtOnce } from './generated/packets.ts';
import type { Gpadl } from './gpadl.ts';
import { sendPacket } from './handlers/packets.ts';
import { isRoomDue, isSignalDue, packetBytes, Ring, RingError, readPacket, type TakenPacket, writePacket } from './ring.ts';
import { ChannelService } from './service.ts';
import type { GuestBuffer, HostPacket, Vsp, VspChannel } from './vsp.ts';

/** A device that is offered to the guest: its service and its channels, the first and what it asked for besides. */
export interface VmbusDevice {
  readonly vsp: Vsp;
  readonly channels: VmbusChannel[];
  /** It was taken away from the guest. */
  isRemoved: boolean;
}

/** What a channel needs of the bus that it belongs to. */
export interface ChannelBus {
  readonly dma: DmaMemory;
  readonly clock: Clock;
  /** Sets the channel's event flag in the guest. */
  interrupt(channel: VmbusChannel): void;
  gpadlOf(device: VmbusDevice, id: number): GuestBuffer | undefined;
  offerSubchannels(device: VmbusDevice, count: number): void;
}

/** Counts of what went through a channel since it was opened. */
export interface Traffic {
  packets: number;
  bytes: number;
  signals: number;
}

/** What the guest asked for when it opened a channel. */
export interface OpenRequest {
  readonly openId: number;
  readonly gpadl: Gpadl;
  /** Pages of the ring from the guest to the host; the other ring has the rest. */
  readonly downstreamPage: number;
  readonly vcpu: number;
  readonly userData: Uint8Array;
}

/** What goes on in a channel from its opening to its closing. */
export class OpenChannel {
  readonly fromGuest: Ring;
  readonly toGuest: Ring;
  vcpu: number;
  /** Why nothing is read or written any more, as a part of a sentence. */
  problem: string | undefined;
  /** Its packets are being taken, in stages or at once. */
  isServed = false;
  /** The service waits for room in the ring to the guest. */
  wantsRoom = false;
  readonly received: Traffic = { packets: 0, bytes: 0, signals: 0 };
  readonly sent: Traffic = { packets: 0, bytes: 0, signals: 0 };
  /** Packets whose ranges led nowhere. */
  refused = 0;
  lastRefusal: string | undefined;

  constructor(readonly request: OpenRequest) {
    const { gpadl, downstreamPage, vcpu } = request;
    const pages = gpadl.buffer;
    if (pages === undefined) throw new Error(`GPADL ${gpadl.id} has no memory yet.`);
    const border = downstreamPage * RING_PAGE;
    this.fromGuest = new Ring(pages, 0, border);
    this.toGuest = new Ring(pages, border, pages.length - border);
    this.vcpu = vcpu;
  }

  /** Runs what reads or writes the rings; undefined where they are no use any more. */
  attempt<Result>(act: () => Result): Result | undefined {
    if (this.problem !== undefined) return undefined;
    try {
      return act();
    } catch (error) {
      if (!(error instanceof RingError)) throw error;
      this.problem = error.message;
      return undefined;
    }
  }
}

/** A channel of the VMBus at the host's end. */
export class VmbusChannel implements VspChannel {
  readonly frame: HandlerFrame;
  readonly service: ChannelService;
  /** The guest was told of it. */
  isOffered = false;
  /** The guest was told that it goes away. */
  isRescinded = false;
  open: OpenChannel | undefined;

  constructor(
    readonly id: number,
    readonly device: VmbusDevice,
    readonly subchannelIndex: number,
    private readonly bus: ChannelBus,
  ) {
    const { name, component } = device.vsp;
    this.frame = parentFrame(component, `${name}: take packet`);
    this.service = new ChannelService(this, bus.clock);
  }

  /** `netvsp`, `netvsp subchannel 2` */
  get name(): string {
    const { name } = this.device.vsp;
    return this.subchannelIndex === 0 ? name : `${name} subchannel ${this.subchannelIndex}`;
  }
  /** The connection by which the guest signals it: number, interrupt source, as Hyper-V puts them together. */
  connectionId(sint: number): number {
    return this.id | (sint << 12);
  }

  gpadl(id: number): GuestBuffer | undefined {
    return this.bus.gpadlOf(this.device, id);
  }
  offerSubchannels(count: number): void {
    this.bus.offerSubchannels(this.device, count);
  }

  send(packet: HostPacket): boolean {
    return sendAtOnce(this, packet);
  }
  *sendInStages(packet: HostPacket): Handler<boolean> {
    return yield* inFrame(parentFrame('vmbusr.sys', `VMBus channel ${this.id}: send packet`), sendPacket(this, packet));
  }

  // --- the ring to the guest ------------------------------------------------------------------------------------------

  /**
   * Writes a packet. Undefined where there is no room, or no ring; else whether the guest is to be interrupted. Without room the guest is
   * told how much is waited for.
   */
  write(packet: HostPacket): { readonly isSignalDue: boolean } | undefined {
    const { open } = this;
    return open?.attempt(() => {
      const bytes = packetBytes(packet);
      const needed = bytes.length + PACKET_FOOTER;
      const before = open.toGuest.state();
      if (needed >= before.free) {
        if (needed < open.toGuest.size) {
          open.toGuest.setIndex('PENDING_SEND_SIZE', needed);
          open.wantsRoom = true;
        }
        return undefined;
      }
      writePacket(open.toGuest, before, bytes);
      open.sent.packets++;
      open.sent.bytes += needed;
      return { isSignalDue: isSignalDue(before.write, open.toGuest.state()) };
    });
  }

  /** Interrupts the guest: there is something in the ring, or room. */
  interrupt(): void {
    if (this.open === undefined) return;
    this.open.sent.signals++;
    this.bus.interrupt(this);
  }

  /** Whether the service waits for room in the ring to the guest and there is some now; then it waits no more. */
  hasNewRoom(): boolean {
    const { open } = this;
    if (open === undefined || !open.wantsRoom) return false;
    const hasRoom = open.attempt(() => {
      const { free, pendingSize } = open.toGuest.state();
      if (free <= pendingSize) return false;
      open.toGuest.setIndex('PENDING_SEND_SIZE', 0);
      return true;
    });
    if (hasRoom !== true) return false;
    open.wantsRoom = false;
    return true;
  }

  // --- the ring from the guest ----------------------------------------------------------------------------------------

  /** Takes the next packet out of the ring; undefined where there is none, or the ring is no use. */
  take(): TakenPacket | undefined {
    const { open } = this;
    return open?.attempt(() => {
      const taken = readPacket(open.fromGuest, this.bus.dma, open.fromGuest.state());
      if (taken === undefined) return undefined;
      open.fromGuest.setIndex('READ_INDEX', taken.next);
      open.received.packets++;
      open.received.bytes += taken.bytes;
      if (taken.problem !== undefined) {
        open.refused++;
        open.lastRefusal = taken.problem;
      }
      return taken;
    });
  }

  /** Bytes that the guest can write; undefined where the ring is no use. */
  freeForGuest(): number | undefined {
    const { open } = this;
    return open?.attempt(() => open.fromGuest.state().free);
  }

  /** Whether the guest waits for room in its ring, which has just become enough. */
  isRoomDue(freeBefore: number): boolean {
    const { open } = this;
    return open?.attempt(() => isRoomDue(freeBefore, open.fromGuest.state())) === true;
  }
}
