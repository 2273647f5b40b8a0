import { hex } from '../../../x86/address.ts';
import type { DmaMemory } from '../../dma.ts';
import type { InspectNode } from '../../inspect.ts';
import { ChainBuilder, type DescriptorChain, indirectEntries, type RingPlace } from './chain.ts';
import { DESCRIPTOR_SIZE, DescriptorFlag, readSplitDescriptor, type SeeDescriptor } from './descriptor.ts';
import { GuestWords } from './guest-words.ts';
import { QueueError } from './queue-error.ts';
import {
  type Area,
  checkAreas,
  FIRST_POSITION,
  LARGEST_QUEUE,
  passedEvent,
  type QueueLayout,
  type QueuePosition,
  type Virtqueue,
} from './virtqueue.ts';

/** Places in the available and in the used ring (virtio 1.2, 2.7.6 and 2.7.8): index, entries; bytes of an entry, and of what is around them. */
const INDEX = 2n;
const RING = 4n;
export const AVAILABLE_ENTRY = 2;
export const USED_ENTRY = 8;
export const AROUND_ENTRIES = 6;
/** Flags of the available ring: no interrupts; of the used ring: no notifications. */
const SUPPRESSED = 1;

/** Where a split ring lies: descriptor table, available ring, used ring. */
export function splitAreas({ size, descriptorArea, driverArea, deviceArea }: QueueLayout): readonly [Area, Area, Area] {
  return [
    { name: 'descriptor table', gpa: descriptorArea, length: DESCRIPTOR_SIZE * size, alignment: 16n },
    { name: 'available ring', gpa: driverArea, length: AROUND_ENTRIES + AVAILABLE_ENTRY * size, alignment: 2n },
    { name: 'used ring', gpa: deviceArea, length: AROUND_ENTRIES + USED_ENTRY * size, alignment: 4n },
  ];
}

/**
 * Follows a chain of a split ring through the table, and through the indirect table at its end. `see` is told of each descriptor before
 * it is checked. Throws QueueError and DmaError.
 */
export function walkSplitChain(words: GuestWords, layout: QueueLayout, head: number, see?: SeeDescriptor): DescriptorChain {
  const { dma } = words;
  const builder = new ChainBuilder(dma, layout.size);
  let table = layout.descriptorArea;
  let entries = layout.size;
  let isIndirect = false;
  for (let index = head; ; ) {
    const where = () => `${isIndirect ? 'indirect descriptor' : 'descriptor'} ${index}`;
    if (index >= entries) throw new QueueError(`${where()} is wanted, but there are ${entries}`);
    const descriptor = readSplitDescriptor(words, table, index);
    see?.(descriptor, index, isIndirect);
    if (descriptor.flags & DescriptorFlag.INDIRECT) {
      if (isIndirect) throw new QueueError(`${where()} is indirect within an indirect table`);
      entries = indirectEntries(dma, descriptor, layout.hasIndirect, where());
      table = descriptor.gpa;
      isIndirect = true;
      index = 0;
      continue;
    }
    builder.add(descriptor, where);
    if ((descriptor.flags & DescriptorFlag.NEXT) === 0) return builder.finish(head, 1);
    index = descriptor.link;
  }
}

/** A split virtqueue (virtio 1.2, 2.7): descriptor table, available ring, used ring. */
export class SplitQueue implements Virtqueue {
  private readonly words: GuestWords;
  private available: number;
  private used: number;
  private unsignalled: number;
  private wantsNotifications: boolean;

  /** Throws QueueError for a layout that can't be. */
  constructor(
    dma: DmaMemory,
    readonly layout: QueueLayout,
    position: QueuePosition = FIRST_POSITION,
  ) {
    const { size } = layout;
    if (size < 1 || size > LARGEST_QUEUE || (size & (size - 1)) !== 0)
      throw new QueueError(`a split ring of ${size} entries can't be: it takes a power of 2 up to ${LARGEST_QUEUE}`);
    checkAreas(dma, splitAreas(layout));
    this.words = new GuestWords(dma);
    this.available = position.available;
    this.used = position.used;
    this.unsignalled = position.unsignalled;
    this.wantsNotifications = position.wantsNotifications;
  }

  take(): DescriptorChain | undefined {
    const { size, driverArea } = this.layout;
    const ahead = (this.words.get16(driverArea + INDEX) - this.available) & 0xffff;
    if (ahead === 0) return undefined;
    if (ahead > size)
      throw new QueueError(
        `the available index jumped ${ahead} entries ahead in a ring of ${size}: it says more than there can be`,
      );
    const head = this.words.get16(driverArea + RING + BigInt((this.available % size) * AVAILABLE_ENTRY));
    const chain = walkSplitChain(this.words, this.layout, head);
    this.available = (this.available + 1) & 0xffff;
    if (this.layout.hasEventIndex && this.wantsNotifications) this.askForNext();
    return chain;
  }

  putBack(): void {
    this.available = (this.available - 1) & 0xffff;
  }

  giveBack(chain: RingPlace, written: number): void {
    const { size, deviceArea } = this.layout;
    this.words.set32(deviceArea + RING + BigInt((this.used % size) * USED_ENTRY), chain.id, written);
    this.used = (this.used + 1) & 0xffff;
    this.words.set16(deviceArea + INDEX, this.used);
    this.unsignalled++;
  }

  needsInterrupt(): boolean {
    const given = this.unsignalled;
    this.unsignalled = 0;
    if (given === 0) return false;
    const { size, driverArea, hasEventIndex } = this.layout;
    if (!hasEventIndex) return (this.words.get16(driverArea) & SUPPRESSED) === 0;
    const event = this.words.get16(driverArea + RING + BigInt(size * AVAILABLE_ENTRY));
    return passedEvent(event, this.used, this.used - given);
  }

  wantNotifications(wants: boolean): void {
    if (wants === this.wantsNotifications) return;
    this.wantsNotifications = wants;
    if (!this.layout.hasEventIndex) this.words.set16(this.layout.deviceArea, wants ? 0 : SUPPRESSED);
    else if (wants) this.askForNext();
  }

  /** The index at whose passing the driver is to notify: that of the next buffer. */
  private askForNext(): void {
    const { size, deviceArea } = this.layout;
    this.words.set16(deviceArea + RING + BigInt(size * USED_ENTRY), this.available);
  }

  get position(): QueuePosition {
    const { available, used, unsignalled, wantsNotifications } = this;
    return { ...FIRST_POSITION, available, used, unsignalled, wantsNotifications };
  }

  inspect(): readonly InspectNode[] {
    const { descriptorArea, driverArea, deviceArea } = this.layout;
    return [
      { name: 'descriptor table', value: hex(descriptorArea), memory: { space: 'gpa', address: descriptorArea } },
      {
        name: 'available ring',
        value: hex(driverArea),
        detail: `next taken: ${this.available}`,
        memory: { space: 'gpa', address: driverArea },
      },
      {
        name: 'used ring',
        value: hex(deviceArea),
        detail: `next given back: ${this.used}`,
        memory: { space: 'gpa', address: deviceArea },
      },
      { name: 'notifications', value: this.wantsNotifications ? 'wanted' : 'suppressed' },
    ];
  }
}
