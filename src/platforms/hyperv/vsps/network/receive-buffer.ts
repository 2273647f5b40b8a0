import type { GuestBuffer } from '../../vmbus/vsp.ts';

/** Bytes of a section: an Ethernet frame with what RNDIS puts before it, as Windows' hosts cut buffers. */
export const RECEIVE_SECTION = 1728;
const MOST_SECTIONS = 8192;

/**
 * Memory that the guest gave for what comes to it, cut into sections of one message each. A section is taken until the guest says that it
 * has read it.
 */
export class ReceiveBuffer {
  readonly count: number;
  private readonly free: number[];
  private readonly taken = new Set<number>();

  /** `undefined` where it is too short for a section. */
  static of(memory: GuestBuffer): ReceiveBuffer | undefined {
    return memory.length < RECEIVE_SECTION ? undefined : new ReceiveBuffer(memory);
  }

  private constructor(private readonly memory: GuestBuffer) {
    this.count = Math.min(MOST_SECTIONS, Math.floor(memory.length / RECEIVE_SECTION));
    this.free = Array.from({ length: this.count }, (_, index) => this.count - 1 - index);
  }

  get inUse(): number {
    return this.taken.size;
  }
  get hasRoom(): boolean {
    return this.free.length > 0;
  }

  /** Puts a message into the next section; undefined where all are taken, or the memory is gone. */
  put(message: Uint8Array): { readonly section: number; readonly offset: number } | undefined {
    const section = this.free.at(-1);
    if (section === undefined || message.length > RECEIVE_SECTION) return undefined;
    const offset = section * RECEIVE_SECTION;
    if (!this.memory.write(offset, message)) return undefined;
    this.free.pop();
    this.taken.add(section);
    return { section, offset };
  }

  /** The guest has read a section. False for one that wasn't taken. */
  release(section: number): boolean {
    if (!this.taken.delete(section)) return false;
    this.free.push(section);
    return true;
  }
}

/** Bytes of a section of the send buffer: the guest copies what is shorter there. */
export const SEND_SECTION = 6144;

/** Memory that the guest gave to copy short messages to. */
export class SendBuffer {
  readonly count: number;

  constructor(private readonly memory: GuestBuffer) {
    this.count = Math.floor(memory.length / SEND_SECTION);
  }

  /** The first bytes of a section; undefined where there are none. */
  read(section: number, length: number): Uint8Array | undefined {
    if (section >= this.count || length > SEND_SECTION) return undefined;
    return this.memory.read(section * SEND_SECTION, length);
  }
}
