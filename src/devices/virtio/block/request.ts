import type { ChainPart, DescriptorChain } from '../queue/chain.ts';
import { QueueError } from '../queue/queue-error.ts';
import * as R from './registers.ts';

/** A request without its frame: what is between its header and its status. */
export interface BlockRequest {
  readonly type: number;
  readonly sector: bigint;
  /** What the driver hands over: the header, and what is behind it. */
  readonly readable: ChainPart;
  readonly writable: ChainPart;
  /** Bytes that the device may write, before the status. */
  readonly room: number;
}

/** How a request ended, and how many bytes were written before its status. */
export interface Answer {
  readonly outcome: number;
  readonly written: number;
}

/** Names of what the status of a request can be. */
export const OUTCOME_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(R.Outcome).map(([name, outcome]) => [outcome, name]),
);

/** Reads the header of a request (virtio 1.2, 5.2.6). Throws QueueError for a chain without room for one. */
export function readRequest({ readable, writable }: DescriptorChain): BlockRequest {
  if (readable.length < R.HEADER_SIZE)
    throw new QueueError(`a request has ${readable.length} bytes for the device to read, but its header has ${R.HEADER_SIZE}`);
  if (writable.length === 0) throw new QueueError('a request has no room for its status');
  const header = readable.read(0, R.HEADER_SIZE);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const room = writable.length - 1;
  return { type: view.getUint32(0, true), sector: view.getBigUint64(8, true), readable, writable, room };
}

/** Bytes of data that a request is about: what it has room for, or what it hands over. */
export function bytesToMove({ readable, room }: BlockRequest): number {
  return room > 0 ? room : readable.length - R.HEADER_SIZE;
}
