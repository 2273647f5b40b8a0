import type { Clock } from '../../../devices/device.ts';
import { DeviceTimer } from '../../../devices/timer.ts';
import { MessageType } from '../abi/synic.ts';
import { STIMER_CONFIG_BITS, StimerConfig, TimerPayload } from '../abi/synthetic-timers.ts';
import { TICKS_PER_UNIT } from '../hyperv.ts';
import { MessageBuffers, type QueuedMessage } from './message-queue.ts';

/** What a synthetic timer is given. */
export interface SyntheticTimerWorld {
  readonly clock: Clock;
  /** Partition reference time, in units of 100 ns. */
  referenceTime(): bigint;
  /** Queues a message for an interrupt source of its virtual processor. */
  enqueue(source: number, message: QueuedMessage): void;
  /** Takes back what is still queued. */
  withdraw(buffers: MessageBuffers): void;
  /** An edge-triggered interrupt for its virtual processor's local APIC. */
  interrupt(vector: number): void;
}

/** A periodic timer expires no more often, in units of 100 ns: it bounds what a guest can make the machine do in a stretch of time. */
const SHORTEST_PERIOD = 10n;

/**
 * A synthetic timer (TLFS, "Synthetic timers"). It expires with a message, in a buffer of its own, or in direct mode with an interrupt.
 * While an earlier message of it still waits for its slot, one further expiration waits for the buffer; more are skipped, and all of a
 * lazy periodic timer.
 */
export class SyntheticTimer {
  private configuration = 0n;
  private countValue = 0n;
  /** Reference time of the next expiration; undefined while it doesn't run. */
  private dueTime: bigint | undefined;
  /** Reference time of an expiration whose message has no buffer yet. */
  private waiting: bigint | undefined;
  private readonly timer: DeviceTimer;
  private readonly buffer = new MessageBuffers(1, () => this.bufferFreed());

  constructor(
    readonly index: number,
    private readonly world: SyntheticTimerWorld,
  ) {
    this.timer = new DeviceTimer(world.clock, () => this.expire());
  }

  reset(): void {
    this.configuration = 0n;
    this.countValue = 0n;
    this.restart();
  }

  get config(): bigint {
    return this.configuration;
  }
  /** Bits that must be 0 stay 0. An enabled timer for source 0 would have no source: it is disabled at once. */
  set config(value: bigint) {
    this.configuration = value & STIMER_CONFIG_BITS;
    if (!this.isDirect && this.source === 0) this.configuration &= ~StimerConfig.ENABLED;
    this.restart();
  }

  get count(): bigint {
    return this.countValue;
  }
  /** 0 disables it, whatever else is configured. */
  set count(value: bigint) {
    this.countValue = value;
    if (value === 0n) this.configuration &= ~StimerConfig.ENABLED;
    else if (this.isAutoEnabled && (this.isDirect || this.source !== 0)) this.configuration |= StimerConfig.ENABLED;
    this.restart();
  }

  private has(bit: bigint): boolean {
    return (this.configuration & bit) !== 0n;
  }
  get isEnabled(): boolean {
    return this.has(StimerConfig.ENABLED);
  }
  get isPeriodic(): boolean {
    return this.has(StimerConfig.PERIODIC);
  }
  get isLazy(): boolean {
    return this.has(StimerConfig.LAZY);
  }
  get isAutoEnabled(): boolean {
    return this.has(StimerConfig.AUTO_ENABLE);
  }
  get isDirect(): boolean {
    return this.has(StimerConfig.DIRECT_MODE);
  }
  get source(): number {
    return Number((this.configuration & StimerConfig.SINT) >> StimerConfig.SINT_SHIFT);
  }
  get vector(): number {
    return Number((this.configuration & StimerConfig.APIC_VECTOR) >> StimerConfig.APIC_VECTOR_SHIFT);
  }
  private get period(): bigint {
    return this.countValue < SHORTEST_PERIOD ? SHORTEST_PERIOD : this.countValue;
  }
  /** Reference time of the next expiration. */
  get due(): bigint | undefined {
    return this.dueTime;
  }
  /** A message of it waits for its slot. */
  get isQueued(): boolean {
    return this.buffer.free === 0;
  }

  /** Begins anew with what is configured. What was not delivered yet of before never is. */
  private restart(): void {
    this.waiting = undefined;
    this.world.withdraw(this.buffer);
    if (!this.isEnabled || this.countValue === 0n) this.runUntil(undefined);
    else this.runUntil(this.isPeriodic ? this.world.referenceTime() + this.period : this.countValue);
  }

  private runUntil(due: bigint | undefined): void {
    this.dueTime = due;
    if (due === undefined) {
      this.timer.set(undefined);
      return;
    }
    const left = due - this.world.referenceTime();
    const now = this.world.clock.now();
    this.timer.set(left <= 0n ? now : (now / TICKS_PER_UNIT + left) * TICKS_PER_UNIT);
  }

  private expire(): void {
    const due = this.dueTime ?? this.world.referenceTime();
    if (this.isPeriodic) this.runUntil(this.nextPeriod(due));
    else {
      this.configuration &= ~StimerConfig.ENABLED;
      this.dueTime = undefined;
    }
    if (this.isDirect) this.world.interrupt(this.vector);
    else this.send(due);
  }

  /** When a period ends that begins with an expiration. Of those that have passed already one is made up for, at once, if the timer isn't lazy. */
  private nextPeriod(due: bigint): bigint {
    const { period } = this;
    const missed = (this.world.referenceTime() - due) / period;
    return due + (this.isLazy || missed === 0n ? missed + 1n : missed) * period;
  }

  private send(expiration: bigint): void {
    if (this.buffer.take())
      this.world.enqueue(this.source, {
        type: MessageType.TIMER_EXPIRED,
        message: () => ({ type: MessageType.TIMER_EXPIRED, sender: 0n, payload: this.payload(expiration) }),
        buffers: this.buffer,
      });
    else if (!(this.isPeriodic && this.isLazy)) this.waiting ??= expiration;
  }

  private payload(expiration: bigint): Uint8Array {
    const bytes = new Uint8Array(TimerPayload.SIZE);
    const view = new DataView(bytes.buffer);
    view.setUint32(TimerPayload.INDEX, this.index, true);
    view.setBigUint64(TimerPayload.EXPIRATION, expiration, true);
    view.setBigUint64(TimerPayload.DELIVERY, this.world.referenceTime(), true);
    return bytes;
  }

  private bufferFreed(): void {
    const expiration = this.waiting;
    this.waiting = undefined;
    if (expiration !== undefined) this.send(expiration);
  }
}
