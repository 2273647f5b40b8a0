/** Slices (of a few milliseconds each) after which a motion is said to take long, and after which its progress is told again. */
const LONG = 150;
const AGAIN = 75;

/** Sends an event of the protocol. */
type SendEvent = (event: string, body: object) => void;

/**
 * Tells a client of a step that doesn't end soon: over a call that computes for long, out of a loop. The client can cancel it,
 * which pauses the guest. Time is counted in slices: nothing here reads a clock.
 */
export class MotionProgress {
  /** The client shows progress (`supportsProgressReporting`). */
  supported = false;
  private ids = 1;
  private title: string | undefined;
  private shown: string | undefined;
  private slices = 0;

  constructor(private readonly send: SendEvent) {}

  begin(title: string): void {
    this.end();
    this.title = title;
  }

  /** A slice has passed, and the guest is `retired` instructions into its run. */
  tick(retired: bigint): void {
    if (this.title === undefined || !this.supported) return;
    const since = ++this.slices - LONG;
    if (since < 0 || since % AGAIN !== 0) return;
    const message = `${retired / 1_000_000n} million instructions so far`;
    if (this.shown === undefined) {
      this.shown = `motion-${this.ids++}`;
      this.send('progressStart', { progressId: this.shown, title: this.title, cancellable: true, message });
    } else this.send('progressUpdate', { progressId: this.shown, message });
  }

  end(): void {
    if (this.shown !== undefined) this.send('progressEnd', { progressId: this.shown });
    this.title = this.shown = undefined;
    this.slices = 0;
  }

  /** Whether an id is that of the motion that is shown. */
  isShown(id: unknown): boolean {
    return this.shown !== undefined && id === this.shown;
  }
}
