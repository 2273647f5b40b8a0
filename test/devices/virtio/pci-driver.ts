import type { VirtioModel } from '../../../src/devices/virtio/model.ts';
import { VirtioPci } from '../../../src/devices/virtio/transport/pci.ts';
import { Common as C, Field, NO_VECTOR, Structure } from '../../../src/devices/virtio/transport/pci-registers.ts';
import type { Handler } from '../../../src/stages/stage.ts';
import type { Random } from '../../support/random.ts';
import { FakeLine } from '../fake-clock.ts';
import { PciMachine } from '../pci/pci-machine.ts';
import type { Driver } from './drivers.ts';
import { FakeDma } from './fake-dma.ts';
import { VirtioDriver } from './mmio-driver.ts';

const SLOT = 1;
const MEMORY_AND_MASTER = 6;
const VENDOR_CAPABILITY = 9;

type Size = 1 | 2 | 4 | 8;

/** A driver of a virtio-pci device, which finds its structures as the specification says: by capabilities. */
export class PciDriver extends VirtioDriver {
  readonly machine = new PciMachine();
  readonly device: VirtioPci;
  readonly line: FakeLine;
  /** Vectors of messages that came. */
  readonly messages: number[] = [];
  /** Where the structures are, by type: from the capabilities. */
  private readonly places = new Map<number, bigint>();
  private multiplier = 0;
  /** Places of queues, as the device tells them when they are set up. */
  private readonly notifyOffsets = new Map<number, number>();
  /** Offset of each vendor capability, by type. */
  readonly capabilities = new Map<number, number>();

  constructor(model: VirtioModel, dma = new FakeDma()) {
    super(model, dma);
    this.device = new VirtioPci(model, { dma, offersPacked: true, send: ({ data }) => this.messages.push(data) });
    this.machine.bus.add(this.device);
    this.line = this.machine.lines[SLOT] ?? new FakeLine();
    this.pci(4, 2, MEMORY_AND_MASTER);
    this.findStructures();
  }

  override negotiate(features: bigint): boolean {
    this.pci(4, 2, MEMORY_AND_MASTER);
    return super.negotiate(features);
  }

  /** A register of the configuration space; written, if there is a value. */
  pci(offset: number, size: 1 | 2 | 4, value?: number): number {
    if (value !== undefined) this.machine.write(SLOT, offset, size, value);
    return this.machine.read(SLOT, offset, size);
  }

  private findStructures(): void {
    for (let at = this.pci(0x34, 1); at !== 0; at = this.pci(at + 1, 1)) {
      if (this.pci(at, 1) !== VENDOR_CAPABILITY) continue;
      const type = this.pci(at + Field.TYPE, 1);
      this.capabilities.set(type, at);
      const bar = 0x10 + 4 * this.pci(at + Field.BAR, 1);
      const base = BigInt((this.pci(bar, 4) & ~0xf) >>> 0);
      this.places.set(type, base + BigInt(this.pci(at + Field.OFFSET, 4)));
      if (type === Structure.NOTIFY) this.multiplier = this.pci(at + Field.MULTIPLIER, 4);
    }
  }

  private place(structure: number): bigint {
    const place = this.places.get(structure);
    if (place === undefined) throw new Error(`no capability tells of structure ${structure}`);
    return place;
  }
  read(register: number, size: Size, structure: number = Structure.COMMON): bigint {
    return this.machine.mmio.read(this.place(structure) + BigInt(register), size);
  }
  write(register: number, size: Size, value: number | bigint, structure: number = Structure.COMMON): void {
    this.machine.mmio.write(this.place(structure) + BigInt(register), size, BigInt(value));
  }

  get status(): number {
    return Number(this.read(C.STATUS, 1));
  }
  set status(bits: number) {
    this.write(C.STATUS, 1, bits);
  }
  choose(word: number, features: number): void {
    this.write(C.DRIVER_FEATURES_SELECT, 4, word);
    this.write(C.DRIVER_FEATURES, 4, features);
  }
  setUp(index: number, layout: Pick<Driver['layout'], 'size' | 'descriptorArea' | 'driverArea' | 'deviceArea'>): void {
    this.write(C.QUEUE_SELECT, 2, index);
    this.write(C.QUEUE_SIZE, 2, layout.size);
    this.write(C.QUEUE_DESCRIPTOR, 8, layout.descriptorArea);
    this.write(C.QUEUE_DRIVER, 4, layout.driverArea & 0xffff_ffffn);
    this.write(C.QUEUE_DRIVER + 4, 4, layout.driverArea >> 32n);
    this.write(C.QUEUE_DEVICE, 8, layout.deviceArea);
    this.notifyOffsets.set(index, Number(this.read(C.QUEUE_NOTIFY_OFFSET, 2)));
    this.write(C.QUEUE_ENABLE, 2, 1);
  }
  notify(index = 0): void {
    this.write(this.notifyPlace(index), 2, index, Structure.NOTIFY);
  }
  notifyInStages(index = 0): Handler {
    const place = this.place(Structure.NOTIFY) + BigInt(this.notifyPlace(index));
    return this.machine.mmio.writeInStages(place, 2, BigInt(index));
  }
  private notifyPlace(index: number): number {
    return (this.notifyOffsets.get(index) ?? index) * this.multiplier;
  }
  isReady(index: number): boolean {
    this.write(C.QUEUE_SELECT, 2, index);
    return this.read(C.QUEUE_ENABLE, 2) === 1n;
  }
  resetQueue(index: number): void {
    this.write(C.QUEUE_SELECT, 2, index);
    this.write(C.QUEUE_RESET, 2, 1);
  }
  acknowledge(): number {
    return Number(this.read(0, 1, Structure.ISR));
  }
  get generation(): number {
    return Number(this.read(C.GENERATION, 1));
  }
  disturb(random: Random): void {
    const size = random.pick([1, 2, 4, 8] as const);
    this.write(random.below(C.LENGTH), size, BigInt.asUintN(8 * size, BigInt(random.next())));
  }
  setConfig(offset: number, value: number): void {
    this.write(offset, 4, value >>> 0, Structure.DEVICE);
  }
  config(offset: number, size: Size): bigint {
    return this.read(offset, size, Structure.DEVICE);
  }

  /** Switches to messages: entry N sends the number 0x40 + N. Entry 0 is the configuration's, the others those of the queues. */
  useMessages(): this {
    const capability = this.pci(0x34, 1);
    const bar = BigInt(this.pci(0x10 + 4 * (this.pci(capability + 4, 4) & 7), 4) & ~0xf) & 0xffff_ffffn;
    this.pci(capability + 2, 2, 0x8000);
    for (let entry = 0; entry <= this.model.queues.length; entry++) {
      this.machine.mmio.write(bar + BigInt(16 * entry), 8, 0xfee0_0000n);
      this.machine.mmio.write(bar + BigInt(16 * entry + 8), 8, BigInt(0x40 + entry));
    }
    this.write(C.CONFIGURATION_VECTOR, 2, 0);
    for (const [index] of this.model.queues.entries()) {
      this.write(C.QUEUE_SELECT, 2, index);
      this.write(C.QUEUE_VECTOR, 2, index + 1);
      if (this.read(C.QUEUE_VECTOR, 2) === BigInt(NO_VECTOR)) throw new Error(`queue ${index} got no vector`);
    }
    return this;
  }
}
