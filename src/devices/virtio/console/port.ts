import type { ConsoleWork } from '../handlers/console.ts';
import type { DriverSide } from '../model.ts';
import { receiveQueueOf } from './registers.ts';

export interface ConsolePortState {
  readonly backlog: Uint8Array;
  readonly printed: number;
  readonly isOpen: boolean;
}

/** Bytes from outside that wait for a buffer; more are dropped, as a cable would. */
const BACKLOG_LIMIT = 1 << 20;

/** One port of a console device: bytes in both directions, each with a queue. */
export class ConsolePort implements ConsoleWork {
  private backlog = new Uint8Array(0);
  private printedCount = 0;
  /** A program of the guest has opened it: who isn't there would lose what came. */
  isOpen: boolean;

  /** `transmit`: the guest wrote some bytes. Port 0 is the console, which is always open. */
  constructor(
    readonly number: number,
    readonly name: string,
    private readonly transmit: (bytes: Uint8Array) => void,
  ) {
    this.isOpen = number === 0;
  }

  get printed(): number {
    return this.printedCount;
  }
  get waiting(): number {
    return this.backlog.length;
  }

  /** Bytes arrive from outside. */
  receive(bytes: Uint8Array): void {
    const room = BACKLOG_LIMIT - this.backlog.length;
    this.backlog = joined(this.backlog, bytes.subarray(0, room));
  }

  /** Fills the driver's buffers with what has come. */
  deliver(driver: DriverSide | undefined): void {
    const index = receiveQueueOf(this.number);
    const queue = driver?.queue(index);
    if (queue === undefined) return;
    const waits = () => this.isOpen && this.backlog.length > 0;
    // While nothing waits, new buffers are no news.
    queue.wantNotifications(waits());
    for (let filled = 0; filled < queue.layout.size && waits(); filled++) {
      const chain = queue.take();
      if (chain === undefined) break;
      const piece = this.backlog.subarray(0, chain.writable.length);
      chain.writable.write(0, piece);
      this.backlog = this.backlog.subarray(piece.length);
      queue.giveBack(chain, piece.length);
    }
    queue.wantNotifications(waits());
    driver?.signal(index);
  }

  /** The driver wants bytes printed. */
  print(bytes: Uint8Array): void {
    this.transmit(bytes);
    this.printedCount += bytes.length;
  }

  /** The driver is gone. */
  disconnect(): void {
    this.isOpen = this.number === 0;
  }
  reset(): void {
    this.disconnect();
    this.backlog = new Uint8Array(0);
    this.printedCount = 0;
  }
  save(): ConsolePortState {
    return { backlog: this.backlog.slice(), printed: this.printedCount, isOpen: this.isOpen };
  }
  restore(state: ConsolePortState): void {
    this.backlog = state.backlog.slice();
    this.printedCount = state.printed;
    this.isOpen = state.isOpen;
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
