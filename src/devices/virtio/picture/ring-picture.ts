import type { Descriptor } from '../queue/descriptor.ts';
import type { BufferState, ChainPicture } from './chain-picture.ts';

/** An entry of the descriptor table, or of a packed ring. */
export interface EntryPicture extends Descriptor {
  /** Which of the chains it belongs to. */
  readonly chain?: number;
}

/** An entry of the available ring or of the used ring. */
export interface RingEntry {
  readonly id: number;
  /** Of the used ring: bytes that were written. */
  readonly written?: number;
  readonly state?: BufferState;
}

export interface RingPicture {
  readonly flags: number;
  /** As it is in memory, modulo 65536. */
  readonly index: number;
  /** Event index at the ring's end, where that was negotiated: of the available ring at which used index to interrupt, and so on. */
  readonly event?: number;
  readonly entries: readonly RingEntry[];
}

/** What one side of a packed ring says of events. */
export interface EventPicture {
  readonly mode: string;
  readonly place: number;
  readonly wrap: boolean;
}

/** What is in the rings of a queue now. */
export interface RingContents {
  readonly entries: readonly EntryPicture[];
  /** Split rings. */
  readonly available?: RingPicture;
  readonly used?: RingPicture;
  /** Packed rings. */
  readonly driverEvents?: EventPicture;
  readonly deviceEvents?: EventPicture;
  /** Those that wait, the next one first; those that the device works on; those that it gave back, the last one first. */
  readonly chains: readonly ChainPicture[];
  /** What is wrong with the queue as a whole. */
  readonly problems: readonly string[];
}
