import type { Clock } from '../../../devices/device.ts';
import { DeviceTimer } from '../../../devices/timer.ts';
import type { OpenChannel, VmbusChannel } from './channel.ts';
import { serveChannel as serveAtOnce } from './generated/channels.ts';
import type { TakenPacket } from './ring.ts';

/** What one signal may bring about, so that a guest can't keep the host busy: more is done a little later. */
const MOST_PACKETS = 256;
const MOST_BYTES = 4 << 20;
/** Ticks (1 ns) until then. */
const PAUSE = 10_000n;

/** How a channel is served when the guest has signalled it: by one at a time, so much at once. */
export class ChannelService {
  private readonly timer: DeviceTimer;
  private open: OpenChannel | undefined;
  private packets = 0;
  private bytes = 0;
  /** There may be more in the ring than was to be taken at once. */
  private isCut = false;
  private freeBefore = 0;

  constructor(
    private readonly channel: VmbusChannel,
    clock: Clock,
  ) {
    this.timer = new DeviceTimer(clock, () => serveAtOnce(this.channel));
    this.now = () => clock.now();
  }
  private readonly now: () => bigint;

  begin(): boolean {
    const { channel } = this;
    const { open } = channel;
    if (open === undefined) return false;
    open.received.signals++;
    if (open.problem !== undefined || open.isServed) return false;
    open.isServed = true;
    this.open = open;
    this.packets = 0;
    this.bytes = 0;
    this.isCut = false;
    this.freeBefore = channel.freeForGuest() ?? 0;
    if (channel.hasNewRoom()) channel.device.vsp.hasRoom?.(channel);
    return true;
  }

  take(): TakenPacket | undefined {
    if (this.open === undefined || this.channel.open !== this.open) return undefined;
    this.isCut = this.packets >= MOST_PACKETS || this.bytes >= MOST_BYTES;
    const taken = this.isCut ? undefined : this.channel.take();
    if (taken === undefined) return undefined;
    this.packets++;
    this.bytes += taken.bytes;
    return taken;
  }

  finish(): void {
    const { open, channel } = this;
    this.open = undefined;
    if (open === undefined) return;
    open.isServed = false;
    if (channel.open !== open) return;
    if (channel.isRoomDue(this.freeBefore)) channel.interrupt();
    if (this.isCut) this.timer.set(this.now() + PAUSE);
  }

  /** The channel is closed. */
  stop(): void {
    this.open = undefined;
    this.timer.set(undefined);
  }
}
