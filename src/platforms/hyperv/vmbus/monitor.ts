import { DmaError } from '../../../devices/dma.ts';
import { DeviceTimer } from '../../../devices/timer.ts';
import type { VmbusChannel } from './channel.ts';
import { serveChannel as serveAtOnce } from './generated/channels.ts';
import type { VmbusWorld } from './world.ts';

/**
 * Layout of a monitor page (TLFS, HV_MONITOR_PAGE): which groups are watched; for each of 4 groups 32 pending bits; latencies; what is
 * signalled for each bit.
 */
const TRIGGER_STATE = 0n;
const PENDING = 8n;
const GROUP_STRIDE = 8n;
const LATENCY = 576n;
const PARAMETER = 1088n;
const TRIGGERS = 128;
const PER_GROUP = 32;
/** Ticks (1 ns) in a unit of latency. */
const LATENCY_UNIT = 100n;

interface Watched {
  readonly channel: VmbusChannel;
  readonly trigger: number;
  readonly timer: DeviceTimer;
}

/**
 * The page in which a guest marks channels instead of signalling each packet. The host looks there once in the latency that it has offered.
 */
export class MonitorPage {
  private page: bigint | undefined;
  private readonly triggers = new Map<VmbusChannel, number>();
  private readonly watched = new Map<VmbusChannel, Watched>();

  constructor(private readonly world: VmbusWorld) {}

  /** `page`: undefined where the guest gave none: nothing is monitored then. */
  begin(page: bigint | undefined): void {
    this.page = page !== undefined && this.world.dma.covers(page, 4096) ? page : undefined;
  }

  end(): void {
    for (const { timer } of this.watched.values()) timer.set(undefined);
    this.watched.clear();
    this.triggers.clear();
    this.page = undefined;
  }

  /** Gives a channel a bit, where its device wants to be monitored: 0 to 127; undefined without. */
  place(channel: VmbusChannel): number | undefined {
    const { monitorLatency } = channel.device.vsp.offer;
    if (this.page === undefined || monitorLatency === undefined) return undefined;
    const known = this.triggers.get(channel);
    if (known !== undefined) return known;
    const taken = new Set(this.triggers.values());
    const trigger = Array.from({ length: TRIGGERS }, (_, index) => index).find((index) => !taken.has(index));
    if (trigger !== undefined) this.triggers.set(channel, trigger);
    return trigger;
  }

  /** The channel is open: looks for its bit from now on. */
  watch(channel: VmbusChannel): void {
    const trigger = this.triggers.get(channel);
    const { page } = this;
    if (page === undefined || trigger === undefined) return;
    const latency = channel.device.vsp.offer.monitorLatency ?? 1;
    this.attempt(() => this.describe(page, channel, trigger, latency));
    const timer = new DeviceTimer(this.world.clock, () => this.look(channel));
    this.watched.set(channel, { channel, trigger, timer });
    this.again(timer, latency);
  }

  leave(channel: VmbusChannel): void {
    this.watched.get(channel)?.timer.set(undefined);
    this.watched.delete(channel);
  }

  private again(timer: DeviceTimer, latency: number): void {
    timer.set(this.world.clock.now() + BigInt(Math.max(1, latency)) * LATENCY_UNIT);
  }

  /** Writes what is watched into the page, where the guest may look it up. */
  private describe(page: bigint, channel: VmbusChannel, trigger: number, latency: number): void {
    const { dma } = this.world;
    const group = trigger >> 5;
    const [state = 0] = dma.read(page + TRIGGER_STATE, 1);
    dma.write(page + TRIGGER_STATE, Uint8Array.of(state | (1 << group)));
    dma.write(page + LATENCY + BigInt(trigger * 2), Uint8Array.of(latency & 0xff, (latency >> 8) & 0xff));
    const parameter = new DataView(new ArrayBuffer(8));
    parameter.setUint32(0, channel.id, true);
    dma.write(page + PARAMETER + BigInt(trigger * 8), new Uint8Array(parameter.buffer));
  }

  private look(channel: VmbusChannel): void {
    const watched = this.watched.get(channel);
    if (watched === undefined) return;
    let isPending = false;
    this.attempt(() => {
      isPending = this.takeBit(watched.trigger);
    });
    if (isPending) serveAtOnce(channel);
    // Serving it may have closed it.
    if (this.watched.get(channel) === watched) this.again(watched.timer, channel.device.vsp.offer.monitorLatency ?? 1);
  }

  /** Whether a bit is set; it is not any more then. */
  private takeBit(trigger: number): boolean {
    if (this.page === undefined) return false;
    const bit = trigger % PER_GROUP;
    const at = this.page + PENDING + BigInt(trigger >> 5) * GROUP_STRIDE + BigInt(bit >> 3);
    const [byte = 0] = this.world.dma.read(at, 1);
    const mask = 1 << (bit & 7);
    if ((byte & mask) === 0) return false;
    this.world.dma.write(at, Uint8Array.of(byte & ~mask));
    return true;
  }

  /** The page may be RAM no more. */
  private attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof DmaError)) throw error;
    }
  }
}
