import type { IdlePace } from '../hypervisor/partition/idle-pace.ts';

const NANOSECONDS = 1_000_000;
/** What can be saved up while the guest works, in milliseconds. */
const MOST = 10;

/** Idle time of a guest as time goes by. */
export class RealTime implements IdlePace {
  private last = performance.now();
  private saved = 0n;

  take(wanted: bigint): bigint {
    const now = performance.now();
    const passed = Math.min(MOST, now - this.last);
    this.last = now;
    const most = BigInt(MOST * NANOSECONDS);
    const sum = this.saved + BigInt(Math.floor(passed * NANOSECONDS));
    this.saved = sum < most ? sum : most;
    const given = wanted < this.saved ? wanted : this.saved;
    this.saved -= given;
    return given;
  }
}

/** Milliseconds between two looks at a guest that waits for time to pass. */
export const WAIT = 4;

/** Does something in a fresh turn of the event loop: the next one, or one in a few milliseconds where there is nothing to do before. */
export function soon(isWaiting: boolean, action: () => void): void {
  if (isWaiting) setTimeout(action, WAIT);
  else setImmediate(action);
}
