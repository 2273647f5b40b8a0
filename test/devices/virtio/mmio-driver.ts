import type { Device } from '../../../src/devices/device.ts';
import { Feature, featureBits, Status } from '../../../src/devices/virtio/abi.ts';
import type { VirtioModel } from '../../../src/devices/virtio/model.ts';
import { VirtioMmio } from '../../../src/devices/virtio/transport/mmio.ts';
import { Register as R } from '../../../src/devices/virtio/transport/registers.ts';
import type { Handler } from '../../../src/stages/stage.ts';
import type { Random } from '../../support/random.ts';
import { FakeLine } from '../fake-clock.ts';
import { type Buffer, type Driver, PackedDriver, SplitDriver, type Used } from './drivers.ts';
import { FakeDma } from './fake-dma.ts';

const BASE = 0xfeb0_0000n;
/** Places of up to 8 queues, and of the buffers that the helper makes. */
const FIRST_ORIGIN = 0x2_0000;
const ORIGIN_STEP = 0x6000;
export const BUFFERS = 0x5_0000;
/** Entries of each queue. */
const SIZE = 8;

export const SPLIT = featureBits(Feature.VERSION_1, Feature.INDIRECT_DESC);
export const PACKED = SPLIT | featureBits(Feature.RING_PACKED);

type Places = Pick<Driver['layout'], 'size' | 'descriptorArea' | 'driverArea' | 'deviceArea'>;

/** A driver of a virtio device, with the machine around the device, whatever the transport. */
export abstract class VirtioDriver {
  readonly rings: Driver[] = [];
  abstract readonly device: Device;
  /** High while the device wants an interrupt. */
  abstract readonly line: FakeLine;

  constructor(
    readonly model: VirtioModel,
    readonly dma: FakeDma,
  ) {}

  abstract get status(): number;
  abstract set status(bits: number);
  /** Chooses 32 of the features. */
  abstract choose(word: number, features: number): void;
  abstract setUp(index: number, layout: Places): void;
  abstract notify(index?: number): void;
  abstract notifyInStages(index?: number): Handler;
  abstract isReady(index: number): boolean;
  /** Resets one queue, where that was agreed on. */
  abstract resetQueue(index: number): void;
  /** Takes note of all interrupts: bit 0 is for queues, bit 1 for the configuration. */
  abstract acknowledge(): number;
  /** Of the configuration. */
  abstract get generation(): number;
  abstract config(offset: number, size: 1 | 2 | 4 | 8): bigint;
  /** Writes 32 bits of it. */
  abstract setConfig(offset: number, value: number): void;
  /** Writes something into any register. */
  abstract disturb(random: Random): void;

  /** Goes through the status up to agreed features (virtio 1.2, 3.1.1); whether the device accepts them. */
  negotiate(features: bigint): boolean {
    this.status = 0;
    this.status = Status.ACKNOWLEDGE;
    this.status = Status.ACKNOWLEDGE | Status.DRIVER;
    for (const word of [0, 1, 2, 3]) this.choose(word, Number((features >> BigInt(32 * word)) & 0xffff_ffffn));
    this.status = Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK;
    return (this.status & Status.FEATURES_OK) !== 0;
  }

  /** All of it: features, queues, DRIVER_OK. */
  start(features = SPLIT): this {
    if (!this.negotiate(features | this.model.features)) throw new Error('the features were refused');
    const isPacked = (features & featureBits(Feature.RING_PACKED)) !== 0n;
    this.rings.length = 0;
    this.dma.bytes.fill(0, FIRST_ORIGIN, BUFFERS);
    for (const [index] of this.model.queues.entries()) {
      const origin = FIRST_ORIGIN + index * ORIGIN_STEP;
      const options = { size: SIZE, origin, hasEventIndex: (features & featureBits(Feature.EVENT_IDX)) !== 0n };
      const ring = isPacked ? new PackedDriver(this.dma, options) : new SplitDriver(this.dma, options);
      this.rings.push(ring);
      this.setUp(index, ring.layout);
    }
    this.status |= Status.DRIVER_OK;
    return this;
  }

  ring(index = 0): Driver {
    const ring = this.rings[index];
    if (ring === undefined) throw new Error(`there is no queue ${index}`);
    return ring;
  }

  /**
   * Hands over what is to be read and room for what is to be written, in pieces, and notifies. Gives what was written and how the
   * device gave it back.
   */
  request(readable: Uint8Array, room: number, { queue = 0, piece = 0x1_0000, indirect = false } = {}): Answer {
    const buffers: Buffer[] = [];
    const cut = (start: number, length: number, writable: boolean) => {
      for (let at = 0; at < length; at += piece)
        buffers.push({ gpa: start + at, length: Math.min(piece, length - at), writable });
    };
    this.dma.bytes.set(readable, BUFFERS);
    cut(BUFFERS, readable.length, false);
    cut(BUFFERS + readable.length, room, true);
    this.ring(queue).offer(buffers, indirect);
    this.notify(queue);
    const [used] = this.ring(queue).collect();
    return { bytes: this.dma.bytes.slice(BUFFERS + readable.length, BUFFERS + readable.length + room), used };
  }

  /** The line of `inspect()` with this name. */
  shown(name: string) {
    return this.device.inspect().children?.find((node) => node.name === name);
  }
}

export interface Answer {
  readonly bytes: Uint8Array;
  readonly used: Used | undefined;
}

/** A driver of a virtio-mmio device. */
export class MmioDriver extends VirtioDriver {
  readonly line = new FakeLine();
  readonly device: VirtioMmio;
  private readonly base: bigint;

  /** `device`: one that is in a machine already, of the kind that `model` is. */
  constructor(model: VirtioModel, dma = new FakeDma(), device?: VirtioMmio) {
    super(model, dma);
    this.device = device ?? new VirtioMmio(model, { base: BASE, line: this.line, dma, offersPacked: true });
    this.base = this.device.mmio[0]?.base ?? BASE;
  }

  read(register: number): number {
    return Number(this.device.readMmio(this.base + BigInt(register), 4));
  }
  write(register: number, value: number): void {
    this.device.writeMmio(this.base + BigInt(register), 4, BigInt(value >>> 0));
  }

  get status(): number {
    return this.read(R.STATUS);
  }
  set status(bits: number) {
    this.write(R.STATUS, bits);
  }
  choose(word: number, features: number): void {
    this.write(R.DRIVER_FEATURES_SELECT, word);
    this.write(R.DRIVER_FEATURES, features);
  }
  setUp(index: number, layout: Places): void {
    this.write(R.QUEUE_SELECT, index);
    this.write(R.QUEUE_SIZE, layout.size);
    const places = [
      [R.QUEUE_DESCRIPTOR_LOW, layout.descriptorArea],
      [R.QUEUE_DRIVER_LOW, layout.driverArea],
      [R.QUEUE_DEVICE_LOW, layout.deviceArea],
    ] as const;
    for (const [register, address] of places) {
      this.write(register, Number(address & 0xffff_ffffn));
      this.write(register + 4, Number(address >> 32n));
    }
    this.write(R.QUEUE_READY, 1);
  }
  notify(index = 0): void {
    this.write(R.QUEUE_NOTIFY, index);
  }
  notifyInStages(index = 0): Handler {
    return this.device.writeMmioInStages(this.base + BigInt(R.QUEUE_NOTIFY), 4, BigInt(index));
  }
  isReady(index: number): boolean {
    this.write(R.QUEUE_SELECT, index);
    return this.read(R.QUEUE_READY) === 1;
  }
  resetQueue(index: number): void {
    this.write(R.QUEUE_SELECT, index);
    this.write(R.QUEUE_RESET, 1);
  }
  acknowledge(): number {
    const causes = this.read(R.INTERRUPT_STATUS);
    this.write(R.INTERRUPT_ACKNOWLEDGE, causes);
    return causes;
  }
  get generation(): number {
    return this.read(R.CONFIG_GENERATION);
  }
  disturb(random: Random): void {
    this.write(random.below(0x100) & ~3, random.next());
  }
  setConfig(offset: number, value: number): void {
    this.write(R.CONFIG + offset, value);
  }
  config(offset: number, size: 1 | 2 | 4 | 8): bigint {
    return this.device.readMmio(this.base + BigInt(R.CONFIG + offset), size);
  }
}
