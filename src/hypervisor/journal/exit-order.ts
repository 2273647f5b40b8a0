/** Numbers the exits of all partitions of a host, in the order in which their handlers finish. */
export class ExitOrder {
  private last = 0;

  /** The next number, from 1. */
  next(): number {
    return ++this.last;
  }
}
