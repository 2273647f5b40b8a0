import type { Handler } from '../../stages/stage.ts';
import type { InspectNode } from '../inspect.ts';
import type { Virtqueue } from './queue/virtqueue.ts';

/** The driver as a device sees it, whatever transport is between them. */
export interface DriverSide {
  /** Features that the driver accepted; 0 until it has. */
  readonly features: bigint;
  /** A queue that may be used: the driver runs (DRIVER_OK), has set it up, and did nothing that it must not. */
  queue(index: number): Virtqueue | undefined;
  /** Interrupts the driver for what was given back to a queue, where it wants that. */
  signal(index: number): void;
  /** The same in stages. */
  signalInStages(index: number): Handler;
  /** The configuration changed: a new generation, and an interrupt. */
  configurationChanged(): void;
  /** Does what reaches queues outside of `notified`: errors of the driver become NEEDS_RESET. */
  attempt(action: () => void): void;
}

/** A queue that a device has. */
export interface QueueKind {
  readonly name: string;
  /** Entries that it can have at most: a power of 2. */
  readonly size: number;
}

/** A kind of virtio device without its transport. Its methods may throw QueueError and DmaError where they reach queues. */
export interface VirtioModel<State extends { readonly version: number } = { readonly version: number }> {
  /** `virtio-blk` … */
  readonly name: string;
  /** Kind of device (virtio 1.2, 5). */
  readonly id: number;
  readonly queues: readonly QueueKind[];
  /** Features of its kind that it offers; the transport adds those of the queues. */
  readonly features: bigint;
  /** Their names and bits. */
  readonly featureBits: Readonly<Record<string, number>>;
  /** Called once, before anything else. */
  connect(driver: DriverSide): void;
  /** The device configuration space as it is now, little-endian. */
  configuration(): Uint8Array;
  /** The driver wrote 1 to 8 bytes of the configuration space. Without it, nothing there can be written. */
  writeConfiguration?(offset: number, value: number, size: number): void;
  /** The driver put buffers into a queue, or has just started. */
  notified(queue: number): void;
  /**
   * The same in stages, for a debugger to step through; missing where that can't be done. Whatever a driver may do can happen between
   * two stages; the session resumes it only while the queue is as it was.
   */
  notifiedInStages?(queue: number): Handler;
  /** The driver stopped or reset one queue: what was taken of it is forgotten. */
  queueStopped?(queue: number): void;
  /** The driver reset the device: what belongs to its connection is forgotten. */
  disconnect(): void;
  /** The machine is switched on anew. */
  reset(): void;
  save(): State;
  /** Throws a plain sentence when `version` is unknown. */
  restore(state: State): void;
  /** What the guest keeps in the device besides its memory, for the state hash; nothing while it is as it was at switch-on. */
  contents?(): Iterable<Uint8Array>;
  inspect(): readonly InspectNode[];
}
