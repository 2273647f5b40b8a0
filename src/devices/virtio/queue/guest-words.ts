import type { DmaMemory } from '../../dma.ts';

/** Little-endian numbers in guest memory, as rings are made of (virtio 1.2, 2.7 and 2.8). Throws DmaError as the memory does. */
export class GuestWords {
  constructor(readonly dma: DmaMemory) {}

  get16(gpa: bigint): number {
    const bytes = this.dma.read(gpa, 2);
    return (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
  }
  set16(gpa: bigint, value: number): void {
    this.dma.write(gpa, Uint8Array.of(value & 0xff, (value >> 8) & 0xff));
  }
  /** Words one after the other. */
  set32(gpa: bigint, ...values: readonly number[]): void {
    const view = new DataView(new ArrayBuffer(values.length * 4));
    values.forEach((value, index) => {
      view.setUint32(index * 4, value, true);
    });
    this.dma.write(gpa, new Uint8Array(view.buffer));
  }
  /** `length` bytes to read numbers from. */
  view(gpa: bigint, length: number): DataView {
    const { buffer, byteOffset, byteLength } = this.dma.read(gpa, length);
    return new DataView(buffer, byteOffset, byteLength);
  }
}
