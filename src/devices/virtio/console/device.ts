import type { Handler } from '../../../stages/stage.ts';
import type { InspectNode } from '../../inspect.ts';
import { requireVersion } from '../../state.ts';
import { DeviceId, featureBit, featureBits } from '../abi.ts';
import { fillBuffers as fillBuffersAtOnce, printBuffers as printBuffersAtOnce } from '../generated/console.ts';
import { fillBuffers, printBuffers } from '../handlers/console.ts';
import type { DriverSide, QueueKind, VirtioModel } from '../model.ts';
import { ConsoleControl, type ConsoleSize } from './control.ts';
import { ConsolePort, type ConsolePortState } from './port.ts';
import { COLUMNS, CONFIGURATION_SIZE, ConsoleFeature, Place, Queue, ROWS, receiveQueueOf } from './registers.ts';

export interface VirtioConsoleState {
  readonly version: 2;
  readonly ports: readonly ConsolePortState[];
  readonly control: readonly Uint8Array[];
  readonly size: ConsoleSize;
  readonly isInFront: boolean;
}

/** A named port beside the console: a way for programs of the guest to talk to somebody outside. */
export interface ConsoleChannel {
  readonly name: string;
  /** The guest wrote some bytes. */
  readonly transmit: (bytes: Uint8Array) => void;
}

export interface VirtioConsoleWorld {
  /** The guest prints a byte. */
  readonly transmit: (byte: number) => void;
  /** Ports 1, 2 …; none when missing. */
  readonly channels?: readonly ConsoleChannel[];
}

const QUEUE_SIZE = 64;
/** Channels of a console. */
export const MOST_CHANNELS = 30;

/** The console device (virtio 1.2, 5.3): port 0 is a console; with channels it has a named port for each of them. */
export class VirtioConsole implements VirtioModel<VirtioConsoleState> {
  readonly name = 'virtio-console';
  readonly id = DeviceId.CONSOLE;
  readonly queues: readonly QueueKind[];
  readonly features: bigint;
  readonly featureBits = ConsoleFeature;
  private driver: DriverSide | undefined;
  private readonly ports: readonly ConsolePort[];
  private readonly control: ConsoleControl;
  private size: ConsoleSize = { columns: COLUMNS, rows: ROWS };
  /** The guest printed here last, not on another console of its machine: what is typed comes here. */
  isInFront = false;

  constructor(private readonly world: VirtioConsoleWorld) {
    const { channels = [] } = world;
    this.ports = [
      new ConsolePort(0, 'console', (bytes) => this.print(bytes)),
      ...channels.map(({ name, transmit }, index) => new ConsolePort(index + 1, name, transmit)),
    ];
    this.control = new ConsoleControl({ ports: this.ports, size: () => this.size });
    const queuesOf = (name: string) => [
      { name: `${name}receive`, size: QUEUE_SIZE },
      { name: `${name}transmit`, size: QUEUE_SIZE },
    ];
    const isMultiple = channels.length > 0;
    const names = isMultiple ? ['', 'control ', ...channels.map(({ name }) => `${name} `)] : [''];
    this.queues = names.flatMap(queuesOf);
    this.features =
      featureBits(ConsoleFeature.SIZE, ConsoleFeature.EMERGENCY_WRITE) | (isMultiple ? featureBit(ConsoleFeature.MULTIPORT) : 0n);
  }

  connect(driver: DriverSide): void {
    this.driver = driver;
  }

  private print(bytes: Uint8Array): void {
    for (const byte of bytes) this.world.transmit(byte);
    this.isInFront = true;
  }

  configuration(): Uint8Array {
    const view = new DataView(new ArrayBuffer(CONFIGURATION_SIZE));
    view.setUint16(Place.COLUMNS, this.size.columns, true);
    view.setUint16(Place.ROWS, this.size.rows, true);
    view.setUint32(Place.MOST_PORTS, this.ports.length, true);
    return new Uint8Array(view.buffer);
  }

  /** A character printed without any queue, for a guest that has none yet or no more (5.3.4). */
  writeConfiguration(offset: number, value: number): void {
    if (offset === Place.EMERGENCY_WRITE) this.print(Uint8Array.of(value & 0xff));
  }

  /** Whether a driver is there to take what comes from outside. */
  get listensForInput(): boolean {
    return this.driver?.queue(Queue.RECEIVE) !== undefined;
  }

  /** Bytes arrive from outside, at the console or at a channel. */
  receive(bytes: Uint8Array, channel?: string): void {
    const port = channel === undefined ? this.ports[0] : this.ports.find(({ name, number }) => number > 0 && name === channel);
    port?.receive(bytes);
    this.driver?.attempt(() => port?.deliver(this.driver));
  }

  /** What shows the console has another size. Without effect when it hasn't. */
  resize(size: ConsoleSize): void {
    if (size.columns === this.size.columns && size.rows === this.size.rows) return;
    this.size = { columns: size.columns & 0xffff, rows: size.rows & 0xffff };
    this.driver?.configurationChanged();
    if (!this.isMultiple) return;
    this.control.tellSize();
    this.driver?.attempt(() => this.control.deliver(this.driver));
  }

  /** The driver knows of several ports. */
  private get isMultiple(): boolean {
    return ((this.driver?.features ?? 0n) & featureBit(ConsoleFeature.MULTIPORT)) !== 0n;
  }

  notified(queue: number): void {
    const { driver, control } = this;
    if (driver === undefined) return;
    if (queue === Queue.CONTROL_RECEIVE) control.deliver(driver);
    else if (queue === Queue.CONTROL_TRANSMIT) control.take(driver);
    else {
      const { port, receives } = this.portOf(queue);
      if (receives) fillBuffersAtOnce(port, driver);
      else printBuffersAtOnce(port, driver, queue);
    }
  }
  *notifiedInStages(queue: number): Handler {
    const { driver } = this;
    if (queue === Queue.CONTROL_RECEIVE || queue === Queue.CONTROL_TRANSMIT) this.notified(queue);
    else if (driver) {
      const { port, receives } = this.portOf(queue);
      if (receives) yield* fillBuffers(port, driver);
      else yield* printBuffers(port, driver, queue);
    }
  }

  /** Whose queue it is, and in which direction. */
  private portOf(queue: number): { readonly port: ConsolePort; readonly receives: boolean } {
    const port = this.ports.find(({ number }) => queue >> 1 === receiveQueueOf(number) >> 1);
    if (port === undefined) throw new Error(`queue ${queue} of the console belongs to no port`);
    return { port, receives: queue % 2 === 0 };
  }

  disconnect(): void {
    for (const port of this.ports) port.disconnect();
    this.control.reset();
  }
  reset(): void {
    for (const port of this.ports) port.reset();
    this.control.reset();
    this.size = { columns: COLUMNS, rows: ROWS };
    this.isInFront = false;
  }
  save(): VirtioConsoleState {
    const { ports, control, size, isInFront } = this;
    return { version: 2, ports: ports.map((port) => port.save()), control: control.save(), size, isInFront };
  }
  restore(state: VirtioConsoleState): void {
    requireVersion(this.name, state, 2);
    this.ports.forEach((port, index) => {
      const saved = state.ports[index];
      if (saved) port.restore(saved);
    });
    this.control.restore(state.control);
    this.size = state.size;
    this.isInFront = state.isInFront;
  }
  inspect(): readonly InspectNode[] {
    const [console, ...channels] = this.ports;
    return [
      { name: 'size', value: `${this.size.columns} × ${this.size.rows}` },
      { name: 'bytes printed', value: String(console?.printed ?? 0), detail: `${console?.waiting ?? 0} bytes wait outside` },
      ...channels.map(({ number, name, isOpen, printed, waiting }) => ({
        name: `port ${number}: ${name}`,
        value: isOpen ? 'open' : 'closed',
        detail: `${printed} bytes came, ${waiting} wait outside`,
      })),
    ];
  }
}
