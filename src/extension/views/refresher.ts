/** Milliseconds from one answer to the next question while a guest moves. */
const INTERVAL = 500;

/** Timers, as the editor's host has them; a test has its own. */
export interface Timers {
  set(milliseconds: number, callback: () => void): unknown;
  clear(timer: unknown): void;
}

const HOST_TIMERS: Timers = {
  set: (milliseconds, callback) => setTimeout(callback, milliseconds),
  clear: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/**
 * Decides when a view asks anew: at once when something has happened, and about twice a second while a guest moves, but never while
 * the view is hidden, and never before the last question was answered. What happens meanwhile is made up for when the view is shown.
 */
export class Refresher {
  private visible = false;
  private moving = false;
  /** Something has happened since the last question. */
  private stale = true;
  private asking = false;
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
      this.timer = this.timers.set(INTERVAL, () => {
        this.timer = undefined;
        this.stale = true;
        this.proceed();
      });
  }

  private async refresh(): Promise<void> {
    this.cancel();
    this.stale = false;
    this.asking = true;
    await this.ask();
    this.asking = false;
    this.proceed();
  }
}
