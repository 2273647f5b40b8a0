import { GuestFault, Vector } from '../faults/guest-fault.ts';

/** Longest instruction (Intel SDM vol. 2, 2.3.11). */
const MAX_LENGTH = 15;

/** Where the bytes of an instruction come from. */
export interface CodeBytes {
  /** The first `room` bytes are here, from `at` on. */
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly room: number;
  /** Any further byte; throws GuestFault where it can't be fetched. */
  byteAt(index: number): number;
}

/** Reads the bytes of one instruction in order; counts them against the limit (#GP(0) beyond 15). */
export class ByteReader {
  length = 0;
  private readonly bytes: Uint8Array;
  private readonly at: number;
  private readonly room: number;

  constructor(private readonly code: CodeBytes) {
    this.bytes = code.bytes;
    this.at = code.at;
    this.room = Math.min(code.room, MAX_LENGTH);
  }

  u8(): number {
    const value = this.peek();
    this.length++;
    return value;
  }
  /** The next byte, which stays to be read. */
  peek(): number {
    const { length } = this;
    if (length < this.room) return this.bytes[this.at + length] ?? 0;
    if (length >= MAX_LENGTH) throw new GuestFault(Vector.GP, 0);
    return this.code.byteAt(length);
  }
  u16(): number {
    const low = this.u8();
    return low | (this.u8() << 8);
  }
  u32(): number {
    const low = this.u16();
    return (low | (this.u16() << 16)) >>> 0;
  }
  u64(): bigint {
    const low = BigInt(this.u32());
    return low | (BigInt(this.u32()) << 32n);
  }
  signed(bytes: 1 | 2 | 4): bigint {
    if (bytes === 1) return BigInt((this.u8() << 24) >> 24);
    return BigInt(bytes === 2 ? (this.u16() << 16) >> 16 : this.u32() | 0);
  }
}
