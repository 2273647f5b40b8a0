import type { Clock } from '../../../devices/device.ts';
import { DeviceTimer } from '../../../devices/timer.ts';
import type { CommonPage } from '../../../processor/memory/partition-memory.ts';
import { MONITOR_DISABLED, MONITOR_GROUPS, Monitor, TRIGGERS_PER_GROUP } from '../abi/synic.ts';

/** Ticks (1 ns) in a unit of latency. */
const LATENCY_UNIT = 100n;
/** The hypervisor looks no more often than once in 10 µs, in units of latency. */
const SHORTEST = 100;

/** Who sets triggers: the partition of the connection. */
export interface MonitorOrigin {
  readonly clock: Clock;
  /** Does what HvCallSignalEvent would. */
  signal(connection: number, flag: number): void;
}

/**
 * A page that two partitions have in common, and that the hypervisor looks at (TLFS, "Monitored Notifications"): one of them sets
 * triggers, each of which stands for an event to be signalled to the other one.
 *
 * The hypervisor looks at a group once in the shortest latency of its triggers. The first look arms a trigger that is pending, and the next
 * one signals its event, unless the guest has cleared the armed bit meanwhile. Since each write to the page is known, no time is spent on
 * looks that would find nothing: they are at the same instants as if all of them were made.
 */
export class MonitorPage implements CommonPage {
  readonly bytes = new Uint8Array(4096);
  private readonly view = new DataView(this.bytes.buffer);
  private origin: MonitorOrigin | undefined;
  private timers: readonly DeviceTimer[] = [];
  /** Events that were signalled. */
  signals = 0n;

  constructor() {
    this.setState(MONITOR_DISABLED);
  }

  /** Begins to look at it. */
  watch(origin: MonitorOrigin): void {
    this.unwatch();
    this.origin = origin;
    this.timers = Array.from({ length: MONITOR_GROUPS }, (_, group) => new DeviceTimer(origin.clock, () => this.look(group)));
    this.setState(this.state & ~MONITOR_DISABLED);
    this.written();
  }

  unwatch(): void {
    for (const timer of this.timers) timer.set(undefined);
    this.timers = [];
    this.origin = undefined;
    this.setState(this.state | MONITOR_DISABLED);
  }

  written(): void {
    this.timers.forEach((timer, group) => {
      if (timer.when === undefined && this.isEnabled(group) && this.pending(group) !== 0) this.lookLater(timer, group);
    });
  }

  /** The triggers of a group that are pending: a bit each. */
  pending(group: number): number {
    return this.view.getUint32(Monitor.PENDING + group * 8, true);
  }
  isEnabled(group: number): boolean {
    return (this.state & (1 << group)) !== 0;
  }

  /** Some trigger is pending that will be looked at. */
  get isAboutToLook(): boolean {
    return this.timers.some(({ when }) => when !== undefined);
  }

  private lookLater(timer: DeviceTimer, group: number): void {
    const now = this.origin?.clock.now() ?? 0n;
    const period = BigInt(this.latency(group)) * LATENCY_UNIT;
    timer.set((now / period + 1n) * period);
  }

  /** The shortest latency that a trigger of the group has; 0 is none. */
  private latency(group: number): number {
    const all = Array.from({ length: TRIGGERS_PER_GROUP }, (_, trigger) =>
      this.view.getUint16(Monitor.LATENCY + (group * TRIGGERS_PER_GROUP + trigger) * 2, true),
    ).filter((latency) => latency > 0);
    return Math.max(SHORTEST, Math.min(0xffff, ...all));
  }

  private look(group: number): void {
    const { origin, timers, view } = this;
    const timer = timers[group];
    if (!origin || !timer || !this.isEnabled(group)) return;
    const at = Monitor.PENDING + group * 8;
    const pending = view.getUint32(at, true);
    const due = pending & view.getUint32(Monitor.ARMED + group * 8, true);
    const left = (pending & ~due) >>> 0;
    view.setUint32(at, left, true);
    view.setUint32(Monitor.ARMED + group * 8, left, true);
    if (left !== 0) this.lookLater(timer, group);
    for (let trigger = 0; trigger < TRIGGERS_PER_GROUP; trigger++)
      if ((due >>> trigger) & 1) this.signal(origin, group * TRIGGERS_PER_GROUP + trigger);
  }

  private signal(origin: MonitorOrigin, trigger: number): void {
    const at = Monitor.PARAMETER + trigger * 8;
    this.signals++;
    origin.signal(this.view.getUint32(at, true), this.view.getUint16(at + 4, true));
  }

  private get state(): number {
    return this.view.getUint32(Monitor.STATE, true);
  }
  private setState(state: number): void {
    this.view.setUint32(Monitor.STATE, state >>> 0, true);
  }
}
