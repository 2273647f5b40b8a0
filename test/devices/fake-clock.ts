import type { Clock, InterruptLine } from '../../src/devices/device.ts';

/** A clock that the test moves. */
export class FakeClock implements Clock {
  private time = 0n;
  private handles = 0;
  private timers: { handle: number; when: bigint; callback: () => void }[] = [];

  now(): bigint {
    return this.time;
  }
  schedule(when: bigint, callback: () => void): number {
    this.timers.push({ handle: ++this.handles, when, callback });
    this.timers.sort((a, b) => (a.when < b.when ? -1 : a.when > b.when ? 1 : a.handle - b.handle));
    return this.handles;
  }
  cancel(handle: number): void {
    this.timers = this.timers.filter((timer) => timer.handle !== handle);
  }
  /** Fires all timers on the way. */
  advance(ticks: bigint): void {
    const end = this.time + ticks;
    for (;;) {
      const [first] = this.timers;
      if (first === undefined || first.when > end) break;
      this.timers.shift();
      if (first.when > this.time) this.time = first.when;
      first.callback();
    }
    this.time = end;
  }
}

/** A wire that remembers its level and counts rising edges. */
export class FakeLine implements InterruptLine {
  level = false;
  rises = 0;
  set(level: boolean): void {
    if (level && !this.level) this.rises++;
    this.level = level;
  }
}
