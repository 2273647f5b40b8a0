import { hex } from '../../../x86/address.ts';
import type { DmaMemory } from '../../dma.ts';
import type { InspectNode } from '../../inspect.ts';
import { ChainBuilder, type DescriptorChain, indirectEntries, type RingPlace } from './chain.ts';
import { DESCRIPTOR_SIZE, type Descriptor, DescriptorFlag, readPackedDescriptor, type SeeDescriptor } from './descriptor.ts';
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

/** Event suppression areas (virtio 1.2, 2.8.14): place and wrap counter, then flags. */
export const EVENT_SIZE = 4;
const FLAGS = 2n;
export const EVENT_WRAP = 0x8000;
export const EventFlags = { ENABLE: 0, DISABLE: 1, DESCRIPTOR: 2 } as const;

/** Places of a used descriptor: its length, id and flags. */
const LENGTH = 8n;
const DESCRIPTOR_FLAGS = 14n;

/** Where a packed ring lies: its descriptors, and what each side says of events. */
export function packedAreas({ size, descriptorArea, driverArea, deviceArea }: QueueLayout): readonly [Area, Area, Area] {
  return [
    { name: 'descriptor ring', gpa: descriptorArea, length: DESCRIPTOR_SIZE * size, alignment: 16n },
    { name: 'driver event suppression area', gpa: driverArea, length: EVENT_SIZE, alignment: 4n },
    { name: 'device event suppression area', gpa: deviceArea, length: EVENT_SIZE, alignment: 4n },
  ];
}

/** Whether a descriptor was made available in the driver's round with this wrap counter (virtio 1.2, 2.8.1). */
export function isAvailable({ flags }: Descriptor, wrap: boolean): boolean {
  return ((flags & DescriptorFlag.AVAILABLE) !== 0) === wrap && ((flags & DescriptorFlag.USED) !== 0) !== wrap;
}

/**
 * Follows a chain of a packed ring from the entry `start` on, around the ring; its last descriptor has its id. `see` is told of each
 * descriptor before it is checked. Throws QueueError and DmaError.
 */
export function walkPackedChain(words: GuestWords, layout: QueueLayout, start: number, see?: SeeDescriptor): DescriptorChain {
  const { size, descriptorArea } = layout;
  const builder = new ChainBuilder(words.dma, size);
  for (let entries = 1; ; entries++) {
    const index = (start + entries - 1) % size;
    const descriptor = readPackedDescriptor(words, descriptorArea, index);
    const where = () => `descriptor ${index}`;
    see?.(descriptor, index, false);
    if (descriptor.flags & DescriptorFlag.INDIRECT) addTable(builder, words, layout, descriptor, where(), see);
    else builder.add(descriptor, where);
    if (descriptor.flags & DescriptorFlag.NEXT) continue;
    if (descriptor.link >= size) throw new QueueError(`${where()} has the buffer id ${descriptor.link} in a ring of ${size}`);
    return builder.finish(descriptor.link, entries);
  }
}

/** An indirect table of a packed ring is used from its start to its end (virtio 1.2, 2.8.7). */
function addTable(
  builder: ChainBuilder,
  words: GuestWords,
  { hasIndirect }: QueueLayout,
  descriptor: Descriptor,
  owner: string,
  see?: SeeDescriptor,
): void {
  const entries = indirectEntries(words.dma, descriptor, hasIndirect, owner);
  for (let index = 0; index < entries; index++) {
    const where = () => `indirect descriptor ${index}`;
    const entry = readPackedDescriptor(words, descriptor.gpa, index);
    see?.(entry, index, true);
    if (entry.flags & DescriptorFlag.INDIRECT) throw new QueueError(`${where()} is indirect within an indirect table`);
    builder.add(entry, where);
  }
}

/** A packed virtqueue (virtio 1.2, 2.8): one ring of descriptors that both sides write, and two event suppression areas. */
export class PackedQueue implements Virtqueue {
  private readonly words: GuestWords;
  private available: number;
  private used: number;
  private availableWrap: boolean;
  private usedWrap: boolean;
  private unsignalled: number;
  private wantsNotifications: boolean;

  /** Throws QueueError for a layout that can't be. */
  constructor(
    dma: DmaMemory,
    readonly layout: QueueLayout,
    position: QueuePosition = FIRST_POSITION,
  ) {
    const { size } = layout;
    if (size < 1 || size > LARGEST_QUEUE)
      throw new QueueError(`a packed ring of ${size} entries can't be: it takes 1 to ${LARGEST_QUEUE}`);
    checkAreas(dma, packedAreas(layout));
    this.words = new GuestWords(dma);
    this.available = position.available;
    this.used = position.used;
    this.availableWrap = position.availableWrap;
    this.usedWrap = position.usedWrap;
    this.unsignalled = position.unsignalled;
    this.wantsNotifications = position.wantsNotifications;
  }

  take(): DescriptorChain | undefined {
    const { words, layout, available } = this;
    if (!isAvailable(readPackedDescriptor(words, layout.descriptorArea, available), this.availableWrap)) return undefined;
    const chain = walkPackedChain(words, layout, available);
    this.available += chain.ringEntries;
    if (this.available >= this.layout.size) {
      this.available -= this.layout.size;
      this.availableWrap = !this.availableWrap;
    }
    if (this.layout.hasEventIndex && this.wantsNotifications) this.askForNext();
    return chain;
  }

  putBack({ ringEntries }: RingPlace): void {
    this.available -= ringEntries;
    if (this.available >= 0) return;
    this.available += this.layout.size;
    this.availableWrap = !this.availableWrap;
  }

  giveBack(chain: RingPlace, written: number): void {
    const at = this.layout.descriptorArea + BigInt(this.used * DESCRIPTOR_SIZE);
    this.words.set32(at + LENGTH, written, chain.id);
    const wrap = this.usedWrap ? DescriptorFlag.AVAILABLE | DescriptorFlag.USED : 0;
    this.words.set16(at + DESCRIPTOR_FLAGS, wrap | (written > 0 ? DescriptorFlag.WRITE : 0));
    this.used += chain.ringEntries;
    this.unsignalled += chain.ringEntries;
    if (this.used >= this.layout.size) {
      this.used -= this.layout.size;
      this.usedWrap = !this.usedWrap;
    }
  }

  needsInterrupt(): boolean {
    const given = this.unsignalled;
    this.unsignalled = 0;
    if (given === 0) return false;
    const { size, driverArea, hasEventIndex } = this.layout;
    const flags = this.words.get16(driverArea + FLAGS);
    if (flags === EventFlags.DISABLE) return false;
    if (flags !== EventFlags.DESCRIPTOR || !hasEventIndex) return true;
    const word = this.words.get16(driverArea);
    const place = word & ~EVENT_WRAP;
    // A place of the round before counts from below zero.
    const event = ((word & EVENT_WRAP) !== 0) === this.usedWrap ? place : place - size;
    return passedEvent(event, this.used, this.used - given);
  }

  wantNotifications(wants: boolean): void {
    if (wants === this.wantsNotifications) return;
    this.wantsNotifications = wants;
    if (wants && this.layout.hasEventIndex) this.askForNext();
    else this.words.set16(this.layout.deviceArea + FLAGS, wants ? EventFlags.ENABLE : EventFlags.DISABLE);
  }

  /** The place at whose passing the driver is to notify: that of the next buffer. */
  private askForNext(): void {
    const wrap = this.availableWrap ? EVENT_WRAP : 0;
    this.words.set32(this.layout.deviceArea, this.available | wrap | (EventFlags.DESCRIPTOR << 16));
  }

  get position(): QueuePosition {
    const { available, used, availableWrap, usedWrap, unsignalled, wantsNotifications } = this;
    return { available, used, availableWrap, usedWrap, unsignalled, wantsNotifications };
  }

  inspect(): readonly InspectNode[] {
    const { descriptorArea, driverArea, deviceArea } = this.layout;
    const wrap = (counter: boolean) => `wrap counter ${counter ? 1 : 0}`;
    return [
      {
        name: 'descriptor ring',
        value: hex(descriptorArea),
        detail: `next taken: ${this.available}, ${wrap(this.availableWrap)}; next given back: ${this.used}, ${wrap(this.usedWrap)}`,
        memory: { space: 'gpa', address: descriptorArea },
      },
      { name: 'driver events', value: hex(driverArea), memory: { space: 'gpa', address: driverArea } },
      { name: 'device events', value: hex(deviceArea), memory: { space: 'gpa', address: deviceArea } },
      { name: 'notifications', value: this.wantsNotifications ? 'wanted' : 'suppressed' },
    ];
  }
}
