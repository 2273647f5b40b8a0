import type { Clock } from '../devices/device.ts';

/** A frame on its way. */
export interface FrameInFlight {
  /** Guest time at which it arrives. */
  readonly when: bigint;
  readonly frame: Uint8Array;
}

/** Frames that are on a wire at most; others are lost. */
const MOST_IN_FLIGHT = 1024;

/** Brings frames somewhere at their times, in the order in which they were sent. */
export class Wire {
  private queue: FrameInFlight[] = [];
  private timer: number | undefined;
  /** Frames that were lost because too many were on their way. */
  lost = 0;

  constructor(
    private readonly clock: Clock,
    private readonly arrive: (frame: Uint8Array) => void,
  ) {}

  /** `when`: the time at which it arrives, unless the one before comes later. */
  send(frame: Uint8Array, when: bigint): void {
    if (this.queue.length >= MOST_IN_FLIGHT) {
      this.lost++;
      return;
    }
    const before = this.queue.at(-1)?.when ?? when;
    this.queue.push({ when: before > when ? before : when, frame });
    this.arm();
  }

  private arm(): void {
    const [first] = this.queue;
    if (first === undefined || this.timer !== undefined) return;
    this.timer = this.clock.schedule(first.when, () => this.deliver());
  }

  private deliver(): void {
    this.timer = undefined;
    const now = this.clock.now();
    // What is sent meanwhile for this very instant waits for the next timer.
    for (let left = this.queue.length; left > 0 && (this.queue[0]?.when ?? now + 1n) <= now; left--) {
      const first = this.queue.shift();
      if (first) this.arrive(first.frame);
    }
    this.arm();
  }

  private disarm(): void {
    if (this.timer !== undefined) this.clock.cancel(this.timer);
    this.timer = undefined;
  }

  reset(): void {
    this.disarm();
    this.queue = [];
    this.lost = 0;
  }
  save(): readonly FrameInFlight[] {
    return [...this.queue];
  }
  restore(frames: readonly FrameInFlight[]): void {
    this.reset();
    this.queue = [...frames];
    this.arm();
  }
}
