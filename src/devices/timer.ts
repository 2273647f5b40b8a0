import type { Clock } from './device.ts';

/** One timer of a device on the machine's clock: armed for one instant at a time, saved as that instant. */
export class DeviceTimer {
  private handle: number | undefined;
  private due: bigint | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly callback: () => void,
  ) {}

  /** When it fires; undefined while it isn't armed. */
  get when(): bigint | undefined {
    return this.due;
  }

  /** Arms it for `when` (at once, when that has passed), or disarms it. */
  set(when: bigint | undefined): void {
    if (this.handle !== undefined) this.clock.cancel(this.handle);
    this.handle = undefined;
    this.due = when;
    if (when === undefined) return;
    this.handle = this.clock.schedule(when, () => {
      this.handle = undefined;
      this.due = undefined;
      this.callback();
    });
  }
}
