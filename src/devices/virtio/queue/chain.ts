import { hex } from '../../../x86/address.ts';
import type { DmaMemory } from '../../dma.ts';
import { DESCRIPTOR_SIZE, type Descriptor, DescriptorFlag } from './descriptor.ts';
import { QueueError } from './queue-error.ts';

/** A piece of guest memory that a descriptor names. */
export interface Segment {
  readonly gpa: bigint;
  readonly length: number;
}

/** What a chain may have in all, so that lengths fit into a used element (virtio 1.2, 2.7.5.1). */
const LONGEST_CHAIN = 0xffff_ffff;

/** The memory of one half of a chain as one run of bytes. */
export class ChainPart {
  readonly length: number;

  constructor(
    private readonly dma: DmaMemory,
    readonly segments: readonly Segment[],
  ) {
    this.length = segments.reduce((sum, segment) => sum + segment.length, 0);
  }

  /** Copies up to `length` bytes from `offset` on; fewer where the part ends. Throws DmaError. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.length - offset)));
    this.each(offset, bytes.length, (gpa, done, count) => bytes.set(this.dma.read(gpa, count), done));
    return bytes;
  }

  /** Writes what has room from `offset` on. Throws DmaError. */
  write(offset: number, bytes: Uint8Array): void {
    const count = Math.max(0, Math.min(bytes.length, this.length - offset));
    this.each(offset, count, (gpa, done, size) => this.dma.write(gpa, bytes.subarray(done, done + size)));
  }

  /** The places of a range: where, how many bytes of it came before, how many are there. */
  private each(offset: number, length: number, action: (gpa: bigint, done: number, count: number) => void): void {
    let skip = offset;
    let done = 0;
    for (const segment of this.segments) {
      if (done === length) return;
      if (skip >= segment.length) {
        skip -= segment.length;
        continue;
      }
      const count = Math.min(segment.length - skip, length - done);
      action(segment.gpa + BigInt(skip), done, count);
      done += count;
      skip = 0;
    }
  }
}

/** What a buffer is given back by. A device may keep it, also as a part of its state. */
export interface RingPlace {
  /** Split ring: number of its first descriptor. Packed ring: its buffer id. */
  readonly id: number;
  /** Entries of the ring that it takes, for a packed ring to go past. */
  readonly ringEntries: number;
}

/** A buffer that the driver made available: what the device reads, then what it writes. Held only while the device is being notified. */
export interface DescriptorChain extends RingPlace {
  readonly readable: ChainPart;
  readonly writable: ChainPart;
}

/** Gathers the descriptors of one chain, and checks each: everything in them is the guest's word. */
export class ChainBuilder {
  private readonly readable: Segment[] = [];
  private readonly writable: Segment[] = [];
  private descriptors = 0;
  private total = 0;

  /** `limit`: descriptors that a chain may have, which is the size of its queue (virtio 1.2, 2.7.5.3.1). */
  constructor(
    private readonly dma: DmaMemory,
    private readonly limit: number,
  ) {}

  /** Takes a descriptor that names a buffer. `where`: what to call it. Throws QueueError. */
  add({ gpa, length, flags }: Descriptor, where: () => string): void {
    if (++this.descriptors > this.limit)
      throw new QueueError(`a chain has more than the ${this.limit} descriptors of its queue: it may be a loop`);
    if (length === 0) throw new QueueError(`${where()} names a buffer of no bytes`);
    if (!this.dma.covers(gpa, length))
      throw new QueueError(`${where()} names ${hex(length)} bytes at ${hex(gpa)}, which are not all RAM`);
    this.total += length;
    if (this.total > LONGEST_CHAIN) throw new QueueError('a chain has more than 4 GiB of buffers');
    if (flags & DescriptorFlag.WRITE) this.writable.push({ gpa, length });
    else if (this.writable.length > 0) throw new QueueError(`${where()} is for the device to read, but follows one to write`);
    else this.readable.push({ gpa, length });
  }

  finish(id: number, ringEntries: number): DescriptorChain {
    return {
      id,
      ringEntries,
      readable: new ChainPart(this.dma, this.readable),
      writable: new ChainPart(this.dma, this.writable),
    };
  }
}

/** Entries of the table that an indirect descriptor names (virtio 1.2, 2.7.5.3). Throws QueueError for what can't be one. */
export function indirectEntries(dma: DmaMemory, { gpa, length, flags }: Descriptor, isAllowed: boolean, where: string): number {
  if (!isAllowed) throw new QueueError(`${where} is indirect, but VIRTIO_F_INDIRECT_DESC was not negotiated`);
  if (flags & DescriptorFlag.NEXT) throw new QueueError(`${where} is indirect and has a next one`);
  if (length === 0 || length % DESCRIPTOR_SIZE !== 0)
    throw new QueueError(`${where} names an indirect table of ${hex(length)} bytes, which is not made of whole descriptors`);
  if (!dma.covers(gpa, length))
    throw new QueueError(`${where} names an indirect table of ${hex(length)} bytes at ${hex(gpa)}, which are not all RAM`);
  return length / DESCRIPTOR_SIZE;
}
