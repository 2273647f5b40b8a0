import { PartitionMemory, type RamRegion } from '../../processor/memory/partition-memory.ts';

/** Memories that wait for the next partition: more would only take room. */
const MOST_FREE = 4;

/**
 * The memory that partitions are made of. What a destroyed partition leaves is scrubbed when it comes back, its vCPUs' registers,
 * translations and decoded code too: nothing of it is in what a later partition gets.
 */
export class HostMemory {
  private readonly free: WebAssembly.Memory[] = [];

  /** Memory with nothing in it. Throws a plain sentence for sizes that are not possible. */
  take(ram: readonly RamRegion[], vcpuCount: number): PartitionMemory {
    const bytes = PartitionMemory.bytesFor(ram, vcpuCount);
    const index = this.free.findIndex(({ buffer }) => buffer.byteLength === bytes);
    const [used] = index < 0 ? [] : this.free.splice(index, 1);
    return new PartitionMemory(ram, vcpuCount, used);
  }

  /** Takes back a memory that nobody may use any more. Gives the bytes that were scrubbed. */
  giveBack({ wasm, bytes }: PartitionMemory): number {
    bytes.fill(0);
    this.free.push(wasm);
    if (this.free.length > MOST_FREE) this.free.shift();
    return bytes.length;
  }
}
