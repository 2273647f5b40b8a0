import type { SpinWatch } from '../../processor/intercepts.ts';
import type { PauseLoop } from './settings.ts';

/** PAUSE-loop exiting of VMX (Intel SDM vol. 3, 26.1.3): a loop of PAUSEs at CPL 0 may last for the window. */
class PauseLoopExiting implements SpinWatch {
  private first = 0n;
  private last: bigint | undefined;

  constructor(private readonly loop: PauseLoop) {}

  isTooLong(cpl: number, ticks: bigint): boolean {
    if (cpl !== 0) return false;
    if (this.last === undefined || ticks - this.last > BigInt(this.loop.gap)) this.first = ticks;
    this.last = ticks;
    return ticks - this.first > BigInt(this.loop.window);
  }
  enter(): void {
    this.last = undefined;
  }
}

/** The pause filter of SVM (AMD APM vol. 2, 15.14.4): a loop may do so many PAUSEs, at any CPL. */
class PauseFilter implements SpinWatch {
  private left: number;
  private last: bigint | undefined;

  constructor(private readonly loop: PauseLoop) {
    this.left = loop.count;
  }

  isTooLong(_cpl: number, ticks: bigint): boolean {
    const { gap, count } = this.loop;
    const isNewLoop = gap > 0 && this.last !== undefined && ticks - this.last > BigInt(gap);
    this.last = ticks;
    if (isNewLoop) this.left = count;
    else this.left--;
    return this.left < 0;
  }
  enter(): void {
    this.left = this.loop.count;
    this.last = undefined;
  }
}

/** What watches a guest's PAUSEs on a vendor's processor. */
export function spinWatch(loop: PauseLoop, vendor: 'intel' | 'amd'): SpinWatch {
  return vendor === 'intel' ? new PauseLoopExiting(loop) : new PauseFilter(loop);
}
