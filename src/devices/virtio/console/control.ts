import type { DriverSide } from '../model.ts';
import { serveQueue } from '../queue/serve.ts';
import type { ConsolePort } from './port.ts';
import { CONTROL_SIZE, Event, Queue } from './registers.ts';

/** Messages that wait for a buffer; a driver that asks for more without giving buffers loses them. */
const MOST_WAITING = 256;

/** Size of a console in characters. */
export interface ConsoleSize {
  readonly columns: number;
  readonly rows: number;
}

interface ControlWorld {
  readonly ports: readonly ConsolePort[];
  readonly size: () => ConsoleSize;
}

/** The control queues of a console with several ports (virtio 1.2, 5.3.6.2): which ports there are, and who has opened them. */
export class ConsoleControl {
  private waiting: Uint8Array[] = [];

  constructor(private readonly world: ControlWorld) {}

  /** Takes the driver's messages. Others than these are none that a driver sends. */
  take(driver: DriverSide | undefined): void {
    const queue = driver?.queue(Queue.CONTROL_TRANSMIT);
    if (queue === undefined) return;
    serveQueue(queue, ({ readable }) => {
      const bytes = readable.read(0, CONTROL_SIZE);
      if (bytes.length === CONTROL_SIZE) this.obey(new DataView(bytes.buffer, bytes.byteOffset, CONTROL_SIZE), driver);
      return 0;
    });
    driver?.signal(Queue.CONTROL_TRANSMIT);
    this.deliver(driver);
  }

  private obey(message: DataView, driver: DriverSide | undefined): void {
    const event = message.getUint16(4, true);
    const isSo = message.getUint16(6, true) === 1;
    if (event === Event.DEVICE_READY) {
      if (isSo) for (const { number } of this.world.ports) this.tell(number, Event.DEVICE_ADD);
      return;
    }
    const port = this.world.ports[message.getUint32(0, true)];
    if (port === undefined) return;
    if (event === Event.PORT_READY && isSo) this.introduce(port);
    if (event === Event.PORT_OPEN && port.number > 0) {
      port.isOpen = isSo;
      port.deliver(driver);
    }
  }

  /** Tells the driver of a port that it has made room for. */
  private introduce({ number, name }: ConsolePort): void {
    if (number === 0) {
      this.tell(number, Event.CONSOLE_PORT, 1);
      this.tellSize();
    } else this.tell(number, Event.PORT_NAME, 1, new TextEncoder().encode(name));
    this.tell(number, Event.PORT_OPEN, 1);
  }

  /** Queues a message about the size of the console. */
  tellSize(): void {
    const { columns, rows } = this.world.size();
    const view = new DataView(new ArrayBuffer(4));
    view.setUint16(0, columns, true);
    view.setUint16(2, rows, true);
    this.tell(0, Event.RESIZE, 0, new Uint8Array(view.buffer));
  }

  private tell(port: number, event: number, value = 0, more = new Uint8Array(0)): void {
    if (this.waiting.length >= MOST_WAITING) return;
    const bytes = new Uint8Array(CONTROL_SIZE + more.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, port, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    bytes.set(more, CONTROL_SIZE);
    this.waiting.push(bytes);
  }

  /** Puts messages into the driver's buffers, one into each. */
  deliver(driver: DriverSide | undefined): void {
    const queue = driver?.queue(Queue.CONTROL_RECEIVE);
    if (queue === undefined) return;
    for (let filled = 0; filled < queue.layout.size; filled++) {
      const [message] = this.waiting;
      if (message === undefined) break;
      const chain = queue.take();
      if (chain === undefined) break;
      this.waiting.shift();
      chain.writable.write(0, message);
      queue.giveBack(chain, Math.min(message.length, chain.writable.length));
    }
    driver?.signal(Queue.CONTROL_RECEIVE);
  }

  reset(): void {
    this.waiting = [];
  }
  save(): readonly Uint8Array[] {
    return this.waiting.map((message) => message.slice());
  }
  restore(messages: readonly Uint8Array[]): void {
    this.waiting = messages.map((message) => message.slice());
  }
}
