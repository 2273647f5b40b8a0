import { COMPLETION_REQUESTED, PACKET_FOOTER, PACKET_HEADER } from '../abi/ring.ts';
import { type Ring, RingError, type RingState } from './ring.ts';

/**
 * Pictures of rings for who looks into a machine: they read memory at any time and change nothing. What was written wrongly is shown as far
 * as it can be read, with a sentence that says what is wrong.
 */

/** A packet in a ring. */
export interface PacketPicture {
  /** Where it begins in the data, and in the guest's memory. */
  readonly at: number;
  readonly gpa: bigint | undefined;
  /** It waits for its reader; else the reader has taken it, and it is still there. */
  readonly isWaiting: boolean;
  readonly type: number;
  readonly transaction: bigint;
  readonly wantsCompletion: boolean;
  /** Bytes that it takes of the ring, with its footer. */
  readonly bytes: number;
  /** What lies between its header and its payload. */
  readonly extension: Uint8Array;
  /** At most 256 bytes. */
  readonly payload: Uint8Array;
  /** All bytes of the payload. */
  readonly payloadLength: number;
}

export interface RingPicture {
  readonly state: RingState | undefined;
  /** The oldest first. */
  readonly packets: readonly PacketPicture[];
  /** As a part of a sentence. */
  readonly problem: string | undefined;
}

/** Packets that are shown: of those that wait, and of those that were taken. */
const MOST_WAITING = 64;
const MOST_TAKEN = 16;
const MOST_BYTES = 256;

/** What is in a ring now. */
export function pictureRing(ring: Ring): RingPicture {
  const looked = ring.forLooking();
  let state: RingState | undefined;
  const packets: PacketPicture[] = [];
  try {
    state = looked.state();
    packets.push(...takenPackets(looked, state));
    for (let at = state.read, left = state.used, count = 0; left > 0 && count < MOST_WAITING; count++) {
      const packet = picturePacket(looked, at, left, true);
      if (typeof packet === 'string') return { state, packets, problem: packet };
      packets.push(packet);
      at = (at + packet.bytes) % looked.size;
      left -= packet.bytes;
    }
    return { state, packets, problem: undefined };
  } catch (error) {
    if (error instanceof RingError) return { state, packets, problem: error.message };
    throw error;
  }
}

/** Packets that the reader has taken and nothing has been written over yet, found backwards by their footers. */
function takenPackets(ring: Ring, { read, free }: RingState): readonly PacketPicture[] {
  const packets: PacketPicture[] = [];
  for (let end = read, left = free; packets.length < MOST_TAKEN && left >= PACKET_HEADER + PACKET_FOOTER; ) {
    const footer = ring.copy((end - PACKET_FOOTER + ring.size) % ring.size, PACKET_FOOTER);
    const words = new DataView(footer.buffer, footer.byteOffset, footer.byteLength);
    const start = words.getUint32(4, true);
    const bytes = (end - start + ring.size) % ring.size;
    if (words.getUint32(0, true) !== 0 || start >= ring.size || start % 8 !== 0 || bytes > left) break;
    const packet = picturePacket(ring, start, bytes, false);
    if (typeof packet === 'string' || packet.bytes !== bytes) break;
    packets.push(packet);
    end = start;
    left -= bytes;
  }
  return packets.reverse();
}

/** The packet at a place, which has at most `room` bytes; a string says why there is none. */
function picturePacket(ring: Ring, at: number, room: number, isWaiting: boolean): PacketPicture | string {
  if (room < PACKET_HEADER + PACKET_FOOTER) return `${room} bytes are too few for a packet`;
  const header = ring.copy(at, PACKET_HEADER);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const dataAt = view.getUint16(2, true) * 8;
  const length = view.getUint16(4, true) * 8;
  if (length < PACKET_HEADER || length + PACKET_FOOTER > room) return `a packet of ${length} bytes can't be among ${room}`;
  if (dataAt < PACKET_HEADER || dataAt > length) return `the data of a packet of ${length} bytes can't begin at byte ${dataAt}`;
  const part = (from: number, bytes: number) => ring.copy((at + from) % ring.size, Math.min(bytes, MOST_BYTES));
  return {
    at,
    gpa: ring.addressOf(at),
    isWaiting,
    type: view.getUint16(0, true),
    transaction: view.getBigUint64(8, true),
    wantsCompletion: (view.getUint16(6, true) & COMPLETION_REQUESTED) !== 0,
    bytes: length + PACKET_FOOTER,
    extension: part(PACKET_HEADER, dataAt - PACKET_HEADER),
    payload: part(dataAt, length - dataAt),
    payloadLength: length - dataAt,
  };
}
