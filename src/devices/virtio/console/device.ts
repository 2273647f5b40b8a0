import type { Handler } from '../../../stages/stage.ts';
import type { InspectNode } from '../../inspect.ts';
import { requireVersion } from '../../state.ts';
import { DeviceId, featureBits } from '../abi.ts';
import { fillBuffers as fillBuffersAtOnce, printBuffers as printBuffersAtOnce } from '../generated/console.ts';
import { type ConsoleWork, fillBuffers, printBuffers } from '../handlers/console.ts';
import type { DriverSide, VirtioModel } from '../model.ts';
import { COLUMNS, CONFIGURATION_SIZE, ConsoleFeature, Queue, ROWS } from './registers.ts';

export interface VirtioConsoleState {
  readonly version: 1;
  readonly backlog: Uint8Array;
  readonly printed: number;
  readonly isInFront: boolean;
}

export interface VirtioConsoleWorld {
  /** The guest prints a byte. */
  readonly transmit: (byte: number) => void;
}

/** Bytes from outside that wait for a buffer; more are dropped, as a cable would. */
const BACKLOG_LIMIT = 1 << 20;

/** The console device (virtio 1.2, 5.3) with one port, of 80 columns and 25 rows. */
export class VirtioConsole implements VirtioModel<VirtioConsoleState>, ConsoleWork {
  readonly name = 'virtio-console';
  readonly id = DeviceId.CONSOLE;
  readonly queues = [
    { name: 'receive', size: 64 },
    { name: 'transmit', size: 64 },
  ];
  readonly features = featureBits(ConsoleFeature.SIZE);
  readonly featureBits = ConsoleFeature;
  private driver: DriverSide | undefined;
  private backlog = new Uint8Array(0);
  private printed = 0;
  /** The guest printed here last, not on another console of its machine: what is typed comes here. */
  isInFront = false;

  constructor(private readonly world: VirtioConsoleWorld) {}

  connect(driver: DriverSide): void {
    this.driver = driver;
  }

  configuration(): Uint8Array {
    const view = new DataView(new ArrayBuffer(CONFIGURATION_SIZE));
    view.setUint16(0, COLUMNS, true);
    view.setUint16(2, ROWS, true);
    view.setUint32(4, 1, true);
    return new Uint8Array(view.buffer);
  }

  /** Whether a driver is there to take what comes from outside. */
  get listensForInput(): boolean {
    return this.driver?.queue(Queue.RECEIVE) !== undefined;
  }

  /** Bytes arrive from outside. */
  receive(bytes: Uint8Array): void {
    const room = BACKLOG_LIMIT - this.backlog.length;
    this.backlog = joined(this.backlog, bytes.subarray(0, room));
    this.driver?.attempt(() => this.deliver());
  }

  notified(queue: number): void {
    if (queue === Queue.RECEIVE) fillBuffersAtOnce(this);
    else if (this.driver) printBuffersAtOnce(this, this.driver, queue);
  }
  *notifiedInStages(queue: number): Handler {
    if (queue === Queue.RECEIVE) yield* fillBuffers(this);
    else if (this.driver) yield* printBuffers(this, this.driver, queue);
  }

  get waiting(): number {
    return this.backlog.length;
  }

  /** Fills the driver's buffers with what has come. */
  deliver(): void {
    const queue = this.driver?.queue(Queue.RECEIVE);
    if (queue === undefined) return;
    // While nothing waits, new buffers are no news.
    queue.wantNotifications(this.backlog.length > 0);
    for (let filled = 0; filled < queue.layout.size && this.backlog.length > 0; filled++) {
      const chain = queue.take();
      if (chain === undefined) break;
      const piece = this.backlog.subarray(0, chain.writable.length);
      chain.writable.write(0, piece);
      this.backlog = this.backlog.subarray(piece.length);
      queue.giveBack(chain, piece.length);
    }
    queue.wantNotifications(this.backlog.length > 0);
    this.driver?.signal(Queue.RECEIVE);
  }

  print(bytes: Uint8Array): void {
    for (const byte of bytes) this.world.transmit(byte);
    this.printed += bytes.length;
    this.isInFront = true;
  }

  disconnect(): void {}
  reset(): void {
    this.backlog = new Uint8Array(0);
    this.printed = 0;
    this.isInFront = false;
  }
  save(): VirtioConsoleState {
    return { version: 1, backlog: this.backlog.slice(), printed: this.printed, isInFront: this.isInFront };
  }
  restore(state: VirtioConsoleState): void {
    requireVersion(this.name, state, 1);
    this.backlog = state.backlog.slice();
    this.printed = state.printed;
    this.isInFront = state.isInFront;
  }
  inspect(): readonly InspectNode[] {
    return [
      { name: 'size', value: `${COLUMNS} × ${ROWS}` },
      { name: 'bytes printed', value: String(this.printed), detail: `${this.backlog.length} bytes wait outside` },
    ];
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
