import type { ChainPart } from '../queue/chain.ts';
import { QueueError } from '../queue/queue-error.ts';
import { HEADER_SIZE, LONGEST_DATA, Operation } from './registers.ts';

/** The header of a packet, `struct virtio_vsock_hdr` (virtio 1.2, 5.10.6), without the length of its data. */
export interface PacketHeader {
  readonly from: bigint;
  readonly to: bigint;
  readonly fromPort: number;
  readonly toPort: number;
  readonly type: number;
  readonly operation: number;
  readonly flags: number;
  /** Bytes of data that the sender can keep, and of those that it was sent how many it has passed on: both wrap. */
  readonly room: number;
  readonly passedOn: number;
}

export interface Packet extends PacketHeader {
  readonly data: Uint8Array;
}

/** Reads what the driver sent. Data that aren't all there, or too many, are the driver's error: undefined. Throws QueueError without a header. */
export function readPacket(readable: ChainPart): Packet | undefined {
  const bytes = readable.read(0, HEADER_SIZE);
  if (bytes.length < HEADER_SIZE)
    throw new QueueError(`a packet has ${bytes.length} bytes for the device to read, but its header has ${HEADER_SIZE}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(24, true);
  if (length > LONGEST_DATA || length > readable.length - HEADER_SIZE) return undefined;
  return {
    from: view.getBigUint64(0, true),
    to: view.getBigUint64(8, true),
    fromPort: view.getUint32(16, true),
    toPort: view.getUint32(20, true),
    type: view.getUint16(28, true),
    operation: view.getUint16(30, true),
    flags: view.getUint32(32, true),
    room: view.getUint32(36, true),
    passedOn: view.getUint32(40, true),
    data: readable.read(HEADER_SIZE, length),
  };
}

/** A packet as it is sent. */
export function packetBytes({ data, ...header }: Packet): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + data.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, header.from, true);
  view.setBigUint64(8, header.to, true);
  view.setUint32(16, header.fromPort, true);
  view.setUint32(20, header.toPort, true);
  view.setUint32(24, data.length, true);
  view.setUint16(28, header.type, true);
  view.setUint16(30, header.operation, true);
  view.setUint32(32, header.flags, true);
  view.setUint32(36, header.room, true);
  view.setUint32(40, header.passedOn, true);
  bytes.set(data, HEADER_SIZE);
  return bytes;
}

const OPERATIONS = new Map<number, string>(Object.entries(Operation).map(([name, number]) => [number, name]));

/** `REQUEST`, `DATA` …; `damaged` for a packet whose data aren't all there. */
export function operationName(packet: Packet | undefined): string {
  return packet ? (OPERATIONS.get(packet.operation) ?? `operation ${packet.operation}`) : 'damaged';
}
