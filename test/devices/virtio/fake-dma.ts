import { DmaError, type DmaMemory } from '../../../src/devices/dma.ts';

/** RAM from 0 to `size`, of which one page can be taken away. All else throws, as the partition's memory does. */
export class FakeDma implements DmaMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** A page that the guest gave back. */
  ballooned: bigint | undefined;
  /** Calls of read and write, and bytes that they moved, to see that work is bounded. */
  accesses = 0;
  moved = 0;

  constructor(readonly size = 0x10_0000) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  covers(gpa: bigint, length: number): boolean {
    return gpa >= 0n && gpa + BigInt(length) <= BigInt(this.size);
  }
  read(gpa: bigint, length: number): Uint8Array {
    const at = this.check(gpa, length);
    return this.bytes.slice(at, at + length);
  }
  write(gpa: bigint, bytes: Uint8Array): void {
    this.bytes.set(bytes, this.check(gpa, bytes.length));
  }
  private check(gpa: bigint, length: number): number {
    this.accesses++;
    this.moved += length;
    const page = this.ballooned;
    const isGone = page !== undefined && gpa < page + 0x1000n && page < gpa + BigInt(length);
    if (!this.covers(gpa, length) || isGone) throw new DmaError(`no RAM at 0x${gpa.toString(16)}`);
    return Number(gpa);
  }
}
