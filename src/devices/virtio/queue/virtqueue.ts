import { hex } from '../../../x86/address.ts';
import type { DmaMemory } from '../../dma.ts';
import type { InspectNode } from '../../inspect.ts';
import type { DescriptorChain, RingPlace } from './chain.ts';
import { QueueError } from './queue-error.ts';

/** Entries that a queue can have at most (virtio 1.2, 2.7 and 2.8). */
export const LARGEST_QUEUE = 32_768;

/** Where a driver put a queue, and what was negotiated about it. */
export interface QueueLayout {
  readonly size: number;
  /** Guest physical addresses: descriptor table or ring; available ring or driver's events; used ring or device's events. */
  readonly descriptorArea: bigint;
  readonly driverArea: bigint;
  readonly deviceArea: bigint;
  readonly isPacked: boolean;
  readonly hasIndirect: boolean;
  readonly hasEventIndex: boolean;
}

/** How far the device is. Indices are those of the rings: counters modulo 65536 of a split ring, places in a packed one. */
export interface QueuePosition {
  readonly available: number;
  readonly used: number;
  /** Wrap counters of a packed ring. */
  readonly availableWrap: boolean;
  readonly usedWrap: boolean;
  /** Ring entries that were given back since the driver's wish for interrupts was last looked at. */
  readonly unsignalled: number;
  /** The device wants to be notified of new buffers. */
  readonly wantsNotifications: boolean;
}

export const FIRST_POSITION: QueuePosition = {
  available: 0,
  used: 0,
  availableWrap: true,
  usedWrap: true,
  unsignalled: 0,
  wantsNotifications: true,
};

/**
 * The device's side of a virtqueue, the same for both formats of rings. All methods throw QueueError or DmaError for what the driver
 * must not do; afterwards the queue is not to be used until it is reset.
 */
export interface Virtqueue {
  readonly layout: QueueLayout;
  /** The next buffer that the driver made available. */
  take(): DescriptorChain | undefined;
  /** Undoes the last `take` whose buffer was neither given back nor put back: it is the next one again. */
  putBack(chain: RingPlace): void;
  /** Returns a buffer with the number of bytes written into it: the oldest one first, so that VIRTIO_F_IN_ORDER holds by itself. */
  giveBack(chain: RingPlace, written: number): void;
  /** Whether the driver wants an interrupt for what was given back since the last call. */
  needsInterrupt(): boolean;
  /** Says whether the driver is to notify the device of new buffers. */
  wantNotifications(wants: boolean): void;
  readonly position: QueuePosition;
  inspect(): readonly InspectNode[];
}

/** One of the three places of a queue. */
export interface Area {
  readonly name: string;
  readonly gpa: bigint;
  readonly length: number;
  readonly alignment: bigint;
}

/** Checks where a driver put a queue. Throws QueueError. */
export function checkAreas(dma: DmaMemory, areas: readonly Area[]): void {
  areas.forEach(({ name, gpa, length, alignment }, index) => {
    if (gpa % alignment !== 0n) throw new QueueError(`the ${name} at ${hex(gpa)} is not aligned to ${alignment} bytes`);
    if (!dma.covers(gpa, length)) throw new QueueError(`the ${name} of ${hex(length)} bytes at ${hex(gpa)} is not all in RAM`);
    for (const other of areas.slice(0, index))
      if (gpa < other.gpa + BigInt(other.length) && other.gpa < gpa + BigInt(length))
        throw new QueueError(`the ${name} at ${hex(gpa)} overlaps the ${other.name} at ${hex(other.gpa)}`);
  });
}

/** Whether the index that the driver waits for was passed on the way from `before` to `now`, modulo 65536 (virtio 1.2, 2.7.7.2). */
export function passedEvent(event: number, now: number, before: number): boolean {
  return ((now - event - 1) & 0xffff) < ((now - before) & 0xffff);
}
