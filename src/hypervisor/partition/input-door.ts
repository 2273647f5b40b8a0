/** One input from outside, stamped with the place in guest time at which it came in. */
export interface StampedInput {
  /** Retired instructions of all vCPUs. */
  readonly icount: bigint;
  /** Guest time, which tells inputs apart that came while the guest was idle. */
  readonly ticks: bigint;
  readonly bytes: Uint8Array;
  /** Which device it is for; the console when missing. */
  readonly to?: string;
}

/**
 * The one way in for what the guest can't foresee. What comes is stamped and written down, so that a run can be repeated:
 * `replay` makes the same inputs come at the same instruction.
 */
export class InputDoor {
  private recorded: StampedInput[] = [];
  private pending: StampedInput[] = [];

  constructor(private readonly deliver: (bytes: Uint8Array, to?: string) => void) {}

  get log(): readonly StampedInput[] {
    return this.recorded;
  }

  enter(icount: bigint, ticks: bigint, bytes: Uint8Array, to?: string): void {
    const input = { icount, ticks, bytes: bytes.slice(), ...(to === undefined ? {} : { to }) };
    this.recorded.push(input);
    this.deliver(input.bytes, to);
  }

  /** Inputs of an earlier run, to be delivered where they came then. */
  replay(inputs: readonly StampedInput[]): void {
    this.pending = [...inputs];
  }

  /** The next input to replay. */
  get next(): StampedInput | undefined {
    return this.pending[0];
  }

  /** Delivers replayed inputs whose place has come. */
  deliverDue(icount: bigint, ticks: bigint): void {
    for (;;) {
      const [first] = this.pending;
      if (first === undefined || first.icount > icount || first.ticks > ticks) return;
      this.pending.shift();
      this.recorded.push(first);
      this.deliver(first.bytes, first.to);
    }
  }

  clear(): void {
    this.recorded = [];
    this.pending = [];
  }
}
