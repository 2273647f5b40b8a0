/** Milliseconds from one answer to the next question while a guest moves, at least. */
const INTERVAL = 500;
/** So many times as long as the last answer took: the guest stands still meanwhile, and shall have nine tenths of the time. */
const SHARE = 9;

/** Timers, as the editor's host has them; a test has its own. */
export interface Timers {
  /** Milliseconds. */
  now(): number;
  set(milliseconds: number, callback: () => void): unknown;
  clear(timer: unknown): void;
}

const HOST_TIMERS: Timers = {
  now: () => performance.now(),
  set: (milliseconds, callback) => setTimeout(callback, milliseconds),
  clear: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/**
 * Decides when a view asks anew: at once when something has happened, and about twice a second while a guest moves (less often where
 * answers take long), but never while the view is hidden, and never before the last question was answered. What happens meanwhile is made up for when the view is shown.
 */
export class Refresher {
  private visible = false;
  private moving = false;
  /** Something has happened since the last question. */
  private stale = true;
  private asking = false;
  /** Milliseconds that the last answer took. */
  private took = 0;
  private timer: unknown;

  /** `ask` must not reject. */
  constructor(
    private readonly ask: () => Promise<void>,
    private readonly timers: Timers = HOST_TIMERS,
  ) {}

  setVisible(visible: boolean): void {
    this.visible = visible;
    this.proceed();
  }

  /** Something has happened; `moving` is whether more will, without a word about it. */
  changed(moving: boolean): void {
    this.moving = moving;
    this.stale = true;
    this.proceed();
  }

  dispose(): void {
    this.visible = false;
    this.cancel();
  }

  private cancel(): void {
    if (this.timer !== undefined) this.timers.clear(this.timer);
    this.timer = undefined;
  }

  private proceed(): void {
    if (!this.visible) {
      // What has moved while nobody looked is asked for once somebody does.
      this.stale ||= this.moving;
      this.cancel();
    } else if (this.asking) return;
    else if (this.stale) void this.refresh();
    else if (this.moving && this.timer === undefined)
      this.timer = this.timers.set(Math.max(INTERVAL, SHARE * this.took), () => {
        this.timer = undefined;
        this.stale = true;
        this.proceed();
      });
  }

  private async refresh(): Promise<void> {
    this.cancel();
    this.stale = false;
    this.asking = true;
    const asked = this.timers.now();
    await this.ask();
    this.took = this.timers.now() - asked;
    this.asking = false;
    this.proceed();
  }
}
