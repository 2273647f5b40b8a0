/** What an eventfd can count to (eventfd(2)). */
const MOST = 0xffff_ffff_ffff_fffen;

/**
 * A counter that somebody waits for: eventfd(2), without blocking. ioeventfds add to it, irqfds wait for it; a VMM does both.
 */
export class EventFd {
  private count = 0n;
  private readonly listeners = new Set<() => void>();

  /** Adds to the counter and wakes who waits. */
  signal(by = 1n): void {
    const sum = this.count + by;
    this.count = sum > MOST ? MOST : sum;
    for (const listener of [...this.listeners]) listener();
  }

  /** The counter, which begins anew; 0n where read(2) would block. */
  take(): bigint {
    const { count } = this;
    this.count = 0n;
    return count;
  }

  /** Calls back whenever it is signalled, until the function that this returns is called. */
  onSignal(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
