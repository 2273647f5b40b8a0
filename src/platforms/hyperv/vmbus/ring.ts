import type { DmaMemory } from '../../../devices/dma.ts';
import {
  COMPLETION_REQUESTED,
  HAS_PENDING_SEND_SIZE,
  PACKET_FOOTER,
  PACKET_HEADER,
  PacketType,
  packetTypeName,
  RING_PAGE,
  RingControl,
} from '../abi/ring.ts';
import { GuestPages, problemOfRange, readRanges } from './guest-pages.ts';
import type { GuestPacket, HostPacket } from './vsp.ts';

/** A ring can't be used any more: the guest wrote into it what must not be there. The message is a part of a sentence. */
export class RingError extends Error {}

/** What a ring's control page says. */
export interface RingState {
  readonly write: number;
  readonly read: number;
  readonly mask: number;
  readonly pendingSize: number;
  readonly features: number;
  /** Bytes in the ring, and bytes that can be written: less than there is room for, since it is never filled whole. */
  readonly used: number;
  readonly free: number;
}

/** A ring in the guest's memory: a control page, and pages of data behind it. */
export class Ring {
  /** Bytes of data. */
  readonly size: number;

  /** `start`: where its control page is in the GPADL; `length`: bytes with it. */
  constructor(
    private readonly pages: GuestPages,
    private readonly start: number,
    length: number,
  ) {
    this.size = length - RING_PAGE;
  }

  /** The same ring for who only looks. */
  forLooking(): Ring {
    return new Ring(this.pages.forLooking(), this.start, this.size + RING_PAGE);
  }

  /** Guest physical address of a byte of the data; undefined once the guest took it back. */
  addressOf(at: number): bigint | undefined {
    return this.pages.addressOf(this.start + RING_PAGE + (at % this.size));
  }

  /** Guest physical address of the control page; undefined once the guest took it back. */
  get control(): bigint | undefined {
    return this.pages.addressOf(this.start);
  }

  /** The control page as it is now. Throws RingError where its indices mean nothing. */
  state(): RingState {
    const head = this.bytes(this.start, 16);
    const [write, read] = [head.getUint32(0, true), head.getUint32(4, true)];
    for (const [name, index] of [['write', write] as const, ['read', read] as const])
      if (index >= this.size || index % 8 !== 0)
        throw new RingError(`the ${name} index ${index} is no place in a ring of ${this.size} bytes`);
    const used = write >= read ? write - read : this.size - read + write;
    return {
      write,
      read,
      mask: head.getUint32(RingControl.INTERRUPT_MASK, true),
      pendingSize: head.getUint32(RingControl.PENDING_SEND_SIZE, true),
      features: this.bytes(this.start + RingControl.FEATURES, 4).getUint32(0, true),
      used,
      free: this.size - used,
    };
  }

  setIndex(which: 'READ_INDEX' | 'WRITE_INDEX' | 'PENDING_SEND_SIZE', value: number): void {
    const word = new DataView(new ArrayBuffer(4));
    word.setUint32(0, value, true);
    this.put(this.start + RingControl[which], new Uint8Array(word.buffer));
  }

  /** A copy of bytes of the data, which go on at the start behind the end. */
  copy(from: number, length: number): Uint8Array {
    const first = Math.min(length, this.size - from);
    const data = this.start + RING_PAGE;
    const head = this.get(data + from, first);
    if (first === length) return head;
    const whole = new Uint8Array(length);
    whole.set(head);
    whole.set(this.get(data, length - first), first);
    return whole;
  }

  /** Writes bytes into the data, which go on at the start behind the end. */
  fill(from: number, bytes: Uint8Array): void {
    const first = Math.min(bytes.length, this.size - from);
    const data = this.start + RING_PAGE;
    this.put(data + from, bytes.subarray(0, first));
    if (first < bytes.length) this.put(data, bytes.subarray(first));
  }

  private get(at: number, length: number): Uint8Array {
    const bytes = this.pages.read(at, length);
    if (bytes === undefined) throw new RingError('memory of the ring is gone');
    return bytes;
  }
  private put(at: number, bytes: Uint8Array): void {
    if (!this.pages.write(at, bytes)) throw new RingError('memory of the ring is gone');
  }
  private bytes(at: number, length: number): DataView {
    const { buffer, byteOffset, byteLength } = this.get(at, length);
    return new DataView(buffer, byteOffset, byteLength);
  }
}

/** A packet, and where the next one begins. */
export interface TakenPacket {
  readonly packet: GuestPacket;
  /** Bytes that it takes of the ring, with its footer. */
  readonly bytes: number;
  /** The read index behind it. */
  readonly next: number;
  /** What is wrong with what it says, as a part of a sentence; its place in the ring is right all the same. */
  readonly problem?: string;
}

/**
 * Reads the packet at the read index, each byte once; undefined in an empty ring. The read index stays. Throws RingError where there can be
 * no packet.
 */
export function readPacket(ring: Ring, dma: DmaMemory, { read, used }: RingState): TakenPacket | undefined {
  if (used === 0) return undefined;
  if (used < PACKET_HEADER + PACKET_FOOTER) throw new RingError(`${used} bytes in the ring are too few for a packet`);
  const header = ring.copy(read, PACKET_HEADER);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const type = view.getUint16(0, true);
  const dataAt = view.getUint16(2, true) * 8;
  const length = view.getUint16(4, true) * 8;
  const flags = view.getUint16(6, true);
  if (length < PACKET_HEADER || length + PACKET_FOOTER > used)
    throw new RingError(`a packet of ${length} bytes can't be among ${used} in the ring`);
  if (dataAt < PACKET_HEADER || dataAt > length)
    throw new RingError(`the data of a packet of ${length} bytes can't begin at byte ${dataAt}`);
  const body = ring.copy((read + PACKET_HEADER) % ring.size, length - PACKET_HEADER);
  const extension = body.subarray(0, dataAt - PACKET_HEADER);
  const described = type === PacketType.DATA_GPA_DIRECT ? directBuffer(dma, extension) : undefined;
  const packet: GuestPacket = {
    type,
    transactionId: view.getBigUint64(8, true),
    wantsCompletion: (flags & COMPLETION_REQUESTED) !== 0,
    payload: body.subarray(dataAt - PACKET_HEADER),
    ...(described instanceof GuestPages ? { buffer: described } : {}),
  };
  const bytes = length + PACKET_FOOTER;
  const next = (read + bytes) % ring.size;
  return typeof described === 'string' ? { packet, bytes, next, problem: described } : { packet, bytes, next };
}

/** What a GPA direct packet's ranges lead to; a string says why they lead nowhere. */
function directBuffer(dma: DmaMemory, extension: Uint8Array): GuestPages | string {
  if (extension.length < 8) return 'the GPA direct packet has no ranges';
  const count = new DataView(extension.buffer, extension.byteOffset).getUint32(4, true);
  const ranges = readRanges(extension.subarray(8), count);
  if (typeof ranges === 'string') return ranges;
  for (const range of ranges) {
    const problem = problemOfRange(dma, range);
    if (problem !== undefined) return problem;
  }
  return new GuestPages(dma, ranges);
}

/** The bytes of a packet as they are in a ring, with padding and without the footer. */
export function packetBytes({ type, transactionId, payload, wantsCompletion, transferPages }: HostPacket): Uint8Array {
  const extension = transferPages ? 8 + transferPages.ranges.length * 8 : 0;
  const dataAt = PACKET_HEADER + extension;
  const length = (dataAt + payload.length + 7) & ~7;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type, true);
  view.setUint16(2, dataAt / 8, true);
  view.setUint16(4, length / 8, true);
  view.setUint16(6, wantsCompletion ? COMPLETION_REQUESTED : 0, true);
  view.setBigUint64(8, BigInt.asUintN(64, transactionId), true);
  if (transferPages) {
    view.setUint16(16, transferPages.set, true);
    view.setUint32(20, transferPages.ranges.length, true);
    transferPages.ranges.forEach(({ count, offset }, index) => {
      view.setUint32(24 + index * 8, count, true);
      view.setUint32(28 + index * 8, offset, true);
    });
  }
  bytes.set(payload, dataAt);
  return bytes;
}

/** Writes a packet behind the last one. The caller has made sure that there is room: fewer bytes than are free, with the footer. */
export function writePacket(ring: Ring, { write }: RingState, bytes: Uint8Array): number {
  const whole = new Uint8Array(bytes.length + PACKET_FOOTER);
  whole.set(bytes);
  new DataView(whole.buffer).setUint32(bytes.length + 4, write, true);
  ring.fill(write, whole);
  const next = (write + whole.length) % ring.size;
  ring.setIndex('WRITE_INDEX', next);
  return next;
}

/**
 * Whether who writes into the guest's ring is to interrupt the guest: it has its interrupts on, and has seen all that was there before
 * (`before`: the write index then).
 */
export function isSignalDue(before: number, { mask, read }: Pick<RingState, 'mask' | 'read'>): boolean {
  return mask === 0 && read === before;
}

/**
 * Whether who has read a ring is to tell its writer that there is room again: the writer waits for it, and the room has just become enough.
 * A ring is never filled whole, so as many free bytes as the writer waits for are not enough yet.
 */
export function isRoomDue(freeBefore: number, { features, pendingSize, free }: RingState): boolean {
  return (features & HAS_PENDING_SEND_SIZE) !== 0 && pendingSize !== 0 && freeBefore <= pendingSize && free > pendingSize;
}

/** `in-band, 40 bytes, transaction 0x5` */
export function describePacket({
  type,
  payload,
  transactionId,
}: Pick<GuestPacket, 'type' | 'payload' | 'transactionId'>): string {
  return `${packetTypeName(type)}, ${payload.length} bytes, transaction 0x${transactionId.toString(16)}`;
}
