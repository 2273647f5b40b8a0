import type { Clock } from '../../devices/device.ts';

interface Timer {
  readonly handle: number;
  readonly when: bigint;
  readonly callback: () => void;
}

/**
 * Guest time of a partition, in ticks of 1 ns. It stands at the ticks of the vCPU that runs; the scheduler fires timers at
 * instruction boundaries. Timers of one instant fire in the order in which they were set.
 */
export class PartitionClock implements Clock {
  /** Sorted by time; few at any moment, so an array serves. */
  private timers: Timer[] = [];
  private lastHandle = 0;

  constructor(private readonly ticks: () => bigint) {}

  now(): bigint {
    return this.ticks();
  }

  schedule(when: bigint, callback: () => void): number {
    const timer = { handle: ++this.lastHandle, when, callback };
    let index = this.timers.length;
    while (index > 0 && (this.timers[index - 1]?.when ?? when) > when) index--;
    this.timers.splice(index, 0, timer);
    return timer.handle;
  }

  cancel(handle: number): void {
    const index = this.timers.findIndex((timer) => timer.handle === handle);
    if (index >= 0) this.timers.splice(index, 1);
  }

  /** When the next timer is due; undefined when none is set. */
  get next(): bigint | undefined {
    return this.timers[0]?.when;
  }

  /** Fires what is due. A timer that is set for now while others fire comes in the same call, up to a limit. */
  fireDue(): void {
    const now = this.ticks();
    for (let count = 0; count < 256; count++) {
      const [first] = this.timers;
      if (first === undefined || first.when > now) return;
      this.timers.shift();
      first.callback();
    }
  }

  clear(): void {
    // Handles go on: whoever has one of before may still cancel it.
    this.timers = [];
  }
}
