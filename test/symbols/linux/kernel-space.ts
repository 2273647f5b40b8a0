import { KernelMemory } from '../../../src/symbols/linux/kernel-memory.ts';

const PAGE = 4096;
const ENTRIES = 512n;

/** Kernel memory that a test fills: pages at any linear address, with page tables to them, in a RAM of its own. */
export class KernelSpace {
  static readonly IMAGE = 0xffff_ffff_8100_0000n;
  private readonly ram = new Uint8Array(PAGE * 256);
  private readonly view = new DataView(this.ram.buffer);
  /** The image is the first page, and the topmost table lies in it. */
  private used = PAGE;
  readonly memory = new KernelMemory(
    (gpa, length) => this.ram.subarray(Number(gpa), Number(gpa) + length),
    { start: KernelSpace.IMAGE, end: KernelSpace.IMAGE + BigInt(PAGE), gpa: 0n },
    KernelSpace.IMAGE,
  );

  /** Offset in RAM of a linear address, whose page is made when it is missing. */
  private place(address: bigint): number {
    let table = 0;
    for (let level = 3; level >= 0; level--) {
      const index = (address >> BigInt(12 + 9 * level)) & (ENTRIES - 1n);
      const entry = table + Number(index) * 8;
      if (this.view.getBigUint64(entry, true) === 0n) {
        this.view.setBigUint64(entry, BigInt(this.used) | 3n, true);
        this.used += PAGE;
      }
      table = Number(this.view.getBigUint64(entry, true) & ~0xfffn);
    }
    return table + Number(address & 0xfffn);
  }

  write(address: bigint, bytes: Uint8Array): void {
    for (const [index, byte] of bytes.entries()) this.ram[this.place(address + BigInt(index))] = byte;
  }
  integer(address: bigint, value: bigint, size: number): void {
    this.write(
      address,
      Uint8Array.from({ length: size }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn)),
    );
  }
  u64(address: bigint, value: bigint): void {
    this.integer(address, value, 8);
  }
  text(address: bigint, text: string): void {
    this.write(address, Uint8Array.from([...text, '\0'].map((character) => character.charCodeAt(0))));
  }
}
