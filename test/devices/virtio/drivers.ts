import { DescriptorFlag as Flag } from '../../../src/devices/virtio/queue/descriptor.ts';
import { PackedQueue } from '../../../src/devices/virtio/queue/packed-queue.ts';
import { SplitQueue } from '../../../src/devices/virtio/queue/split-queue.ts';
import type { QueueLayout, QueuePosition, Virtqueue } from '../../../src/devices/virtio/queue/virtqueue.ts';
import type { FakeDma } from './fake-dma.ts';

/** A piece of memory that a driver hands over. */
export interface Buffer {
  readonly gpa: number;
  readonly length: number;
  readonly writable?: boolean;
}

/** What came back from the device. */
export interface Used {
  readonly id: number;
  readonly written: number;
}

/** Where a queue lies in the fake memory, with the tables of its indirect buffers behind its areas. */
const DRIVER_AREA = 0x2000;
const DEVICE_AREA = 0x3000;
const TABLES = 0x5000;

export type Options = Partial<Pick<QueueLayout, 'size' | 'hasEventIndex' | 'hasIndirect'>> & {
  /** Where the queue begins: 0x1000 when missing. */
  readonly origin?: number;
};

/** The driver's side of a queue, as simple as can be: ids and ring places are used one after the other. */
export interface Driver {
  readonly layout: QueueLayout;
  /** Makes a queue on the device's side. */
  device(position?: QueuePosition): Virtqueue;
  /** Makes a chain available; gives its id. */
  offer(buffers: readonly Buffer[], indirect?: boolean): number;
  /** What has come back since the last call. */
  collect(): Used[];
  suppressInterrupts(isSuppressed: boolean): void;
  /** Wants an interrupt once the device has given back `more` entries from now on (event index). */
  interruptAfter(more: number): void;
  /** What the device says about notifications: the flags, and the event index. */
  notifications(): { readonly suppressed: boolean; readonly event: number };
}

const layoutOf = (
  isPacked: boolean,
  { size = 8, hasEventIndex = false, hasIndirect = true, origin = 0x1000 }: Options,
): QueueLayout => ({
  descriptorArea: BigInt(origin),
  driverArea: BigInt(origin + DRIVER_AREA),
  deviceArea: BigInt(origin + DEVICE_AREA),
  size,
  isPacked,
  hasEventIndex,
  hasIndirect,
});
const flagsOf = ({ writable = false }: Buffer, isLast: boolean) => (writable ? Flag.WRITE : 0) | (isLast ? 0 : Flag.NEXT);

export class SplitDriver implements Driver {
  readonly layout: QueueLayout;
  private next = 0;
  private available = 0;
  private used = 0;

  constructor(
    private readonly dma: FakeDma,
    options: Options = {},
  ) {
    this.layout = layoutOf(false, options);
  }
  device(position?: QueuePosition): Virtqueue {
    return new SplitQueue(this.dma, this.layout, position);
  }
  /** Writes a descriptor of the table at `table`. */
  describe(table: number, index: number, gpa: bigint, length: number, flags: number, next: number): void {
    const { view } = this.dma;
    view.setBigUint64(table + index * 16, gpa, true);
    view.setUint32(table + index * 16 + 8, length, true);
    view.setUint16(table + index * 16 + 12, flags, true);
    view.setUint16(table + index * 16 + 14, next, true);
  }
  offer(buffers: readonly Buffer[], indirect = false): number {
    const { size } = this.layout;
    const ring = Number(this.layout.descriptorArea);
    const head = this.next;
    if (indirect) {
      const table = ring + TABLES + head * 0x100;
      buffers.forEach((buffer, index) => {
        this.describe(table, index, BigInt(buffer.gpa), buffer.length, flagsOf(buffer, index === buffers.length - 1), index + 1);
      });
      this.describe(ring, head, BigInt(table), buffers.length * 16, Flag.INDIRECT, 0);
      this.next = (this.next + 1) % size;
    } else
      buffers.forEach((buffer, index) => {
        const at = this.next;
        this.next = (at + 1) % size;
        this.describe(ring, at, BigInt(buffer.gpa), buffer.length, flagsOf(buffer, index === buffers.length - 1), this.next);
      });
    this.publish(head);
    return head;
  }
  /** Puts a number into the available ring. */
  publish(head: number): void {
    const ring = Number(this.layout.driverArea);
    this.dma.view.setUint16(ring + 4 + (this.available % this.layout.size) * 2, head, true);
    this.available = (this.available + 1) & 0xffff;
    this.dma.view.setUint16(ring + 2, this.available, true);
  }
  collect(): Used[] {
    const { view } = this.dma;
    const ring = Number(this.layout.deviceArea);
    const found: Used[] = [];
    for (; this.used !== view.getUint16(ring + 2, true); this.used = (this.used + 1) & 0xffff) {
      const at = ring + 4 + (this.used % this.layout.size) * 8;
      found.push({ id: view.getUint32(at, true), written: view.getUint32(at + 4, true) });
    }
    return found;
  }
  suppressInterrupts(isSuppressed: boolean): void {
    this.dma.view.setUint16(Number(this.layout.driverArea), isSuppressed ? 1 : 0, true);
  }
  interruptAfter(more: number): void {
    this.dma.view.setUint16(Number(this.layout.driverArea) + 4 + 2 * this.layout.size, this.used + more - 1, true);
  }
  notifications() {
    const { view } = this.dma;
    const ring = Number(this.layout.deviceArea);
    return {
      suppressed: view.getUint16(ring, true) === 1,
      event: view.getUint16(ring + 4 + 8 * this.layout.size, true),
    };
  }
}

export class PackedDriver implements Driver {
  readonly layout: QueueLayout;
  private next = 0;
  private wrap = true;
  private used = 0;
  private usedWrap = true;
  private id = 0;
  /** Ring entries of each buffer, by its id. */
  private readonly entries = new Map<number, number>();

  constructor(
    private readonly dma: FakeDma,
    options: Options = {},
  ) {
    this.layout = layoutOf(true, options);
  }
  device(position?: QueuePosition): Virtqueue {
    return new PackedQueue(this.dma, this.layout, position);
  }
  describe(table: number, index: number, gpa: bigint, length: number, id: number, flags: number): void {
    const { view } = this.dma;
    view.setBigUint64(table + index * 16, gpa, true);
    view.setUint32(table + index * 16 + 8, length, true);
    view.setUint16(table + index * 16 + 12, id, true);
    view.setUint16(table + index * 16 + 14, flags, true);
  }
  /** Flags that make a descriptor available at the driver's place. */
  get marks(): number {
    return this.wrap ? Flag.AVAILABLE : Flag.USED;
  }
  offer(buffers: readonly Buffer[], indirect = false): number {
    const ring = Number(this.layout.descriptorArea);
    const id = this.id;
    this.id = (this.id + 1) % this.layout.size;
    if (indirect) {
      const table = ring + TABLES + id * 0x100;
      buffers.forEach((buffer, index) => {
        this.describe(table, index, BigInt(buffer.gpa), buffer.length, 0, flagsOf(buffer, true));
      });
      this.put(ring, BigInt(table), buffers.length * 16, id, Flag.INDIRECT);
    } else
      buffers.forEach((buffer, index) => {
        this.put(ring, BigInt(buffer.gpa), buffer.length, id, flagsOf(buffer, index === buffers.length - 1));
      });
    this.entries.set(id, indirect ? 1 : buffers.length);
    return id;
  }
  put(ring: number, gpa: bigint, length: number, id: number, flags: number): void {
    this.describe(ring, this.next, gpa, length, id, flags | this.marks);
    if (++this.next < this.layout.size) return;
    this.next = 0;
    this.wrap = !this.wrap;
  }
  collect(): Used[] {
    const { view } = this.dma;
    const found: Used[] = [];
    for (;;) {
      const at = Number(this.layout.descriptorArea) + this.used * 16;
      const flags = view.getUint16(at + 14, true);
      const expected = this.usedWrap ? Flag.AVAILABLE | Flag.USED : 0;
      if ((flags & (Flag.AVAILABLE | Flag.USED)) !== expected) return found;
      const id = view.getUint16(at + 12, true);
      found.push({ id, written: flags & Flag.WRITE ? view.getUint32(at + 8, true) : 0 });
      [this.used, this.usedWrap] = this.later(this.entries.get(id) ?? 1);
    }
  }
  /** The place that many entries on. */
  private later(entries: number): [number, boolean] {
    const place = this.used + entries;
    return place >= this.layout.size ? [place - this.layout.size, !this.usedWrap] : [place, this.usedWrap];
  }
  suppressInterrupts(isSuppressed: boolean): void {
    this.dma.view.setUint16(Number(this.layout.driverArea) + 2, isSuppressed ? 1 : 0, true);
  }
  interruptAfter(more: number): void {
    const [place, wrap] = this.later(more - 1);
    this.dma.view.setUint16(Number(this.layout.driverArea), place | (wrap ? 0x8000 : 0), true);
    this.dma.view.setUint16(Number(this.layout.driverArea) + 2, 2, true);
  }
  notifications() {
    const { view } = this.dma;
    const area = Number(this.layout.deviceArea);
    return { suppressed: view.getUint16(area + 2, true) === 1, event: view.getUint16(area, true) & 0x7fff };
  }
}

/** Both formats, for tests that hold for each. */
export const FORMATS: readonly (readonly [string, (dma: FakeDma, options?: Options) => Driver])[] = [
  ['split', (dma, options) => new SplitDriver(dma, options)],
  ['packed', (dma, options) => new PackedDriver(dma, options)],
];
