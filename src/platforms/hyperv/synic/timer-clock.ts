import type { Clock } from '../../../devices/device.ts';
import type { Machine } from '../../../hypervisor/partition/platform.ts';

/** The machine's clock for a partition that may arm timers; for another one nothing ever comes of them. */
export function timerClock({ clock, door }: Machine): Clock {
  return {
    now: () => clock.now(),
    cancel: (handle) => clock.cancel(handle),
    schedule: (when, callback) =>
      door.ask('timers', () => `a synthetic timer for ${when}`) ? clock.schedule(when, callback) : 0,
  };
}
