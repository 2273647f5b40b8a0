import { PartitionMemory, type RamRegion } from '../../processor/memory/partition-memory.ts';
import { scrub } from '../../processor/memory/scrub.ts';
import { VCPU_SIZE } from '../../processor/state/layout.ts';

/** Memories that wait for the next partition: more, or larger ones, would only take room. */
const MOST_FREE = 4;
const LARGEST_FREE = 256 << 20;
const MIB = 1 << 20;

/** What a host has for all partitions together. */
export interface HostLimits {
  /** Bytes of RAM and vCPU blocks. */
  readonly memory: number;
  readonly partitions: number;
  readonly vcpus: number;
}

export const USUAL_LIMITS: HostLimits = { memory: 8 * 2 ** 30, partitions: 64, vcpus: 256 };

/** A partition that the host has no room for. The message is one sentence. */
export class HostRefusal extends Error {}

/**
 * The memory that partitions are made of. What a destroyed partition leaves is scrubbed when it comes back, its vCPUs' registers,
 * translations and decoded code too: nothing of it is in what a later partition gets.
 */
export class HostMemory {
  private used = 0;
  private partitions = 0;
  private vcpus = 0;

  /** `free`: scrubbed memories, which it shares with whoever else has them. */
  constructor(
    private readonly limits: HostLimits = USUAL_LIMITS,
    private readonly free: WebAssembly.Memory[] = [],
  ) {}

  /** The same host with none of its memory given out: what was given out by this one comes back to both. */
  successor(): HostMemory {
    return new HostMemory(this.limits, this.free);
  }

  /** Memory with nothing in it. Throws HostRefusal where there is no room, and a plain sentence for sizes that are not possible. */
  take(ram: readonly RamRegion[], vcpuCount: number, vcpuSize = VCPU_SIZE): PartitionMemory {
    const bytes = PartitionMemory.bytesFor(ram, vcpuCount, vcpuSize);
    const { limits } = this;
    if (this.partitions >= limits.partitions)
      throw new HostRefusal(`The host has room for ${limits.partitions} partitions; destroy one first.`);
    if (this.vcpus + vcpuCount > limits.vcpus)
      throw new HostRefusal(
        `The host has ${limits.vcpus - this.vcpus} of its ${limits.vcpus} vCPUs left; ${vcpuCount} were asked for.`,
      );
    if (this.used + bytes > limits.memory)
      throw new HostRefusal(
        `The host has ${Math.floor((limits.memory - this.used) / MIB)}M of memory left; ${Math.ceil(bytes / MIB)}M with its vCPUs was asked for.`,
      );
    const index = this.free.findIndex(({ buffer }) => buffer.byteLength === bytes);
    const [scrubbed] = index < 0 ? [] : this.free.splice(index, 1);
    const memory = makeMemory(() => new PartitionMemory(ram, vcpuCount, vcpuSize, scrubbed));
    this.used += bytes;
    this.partitions++;
    this.vcpus += vcpuCount;
    return memory;
  }

  /** Takes back a memory that nobody may use any more: all views of it end. Gives the bytes that were scrubbed. */
  giveBack({ wasm, bytes, vcpuCount }: PartitionMemory): number {
    const { length } = bytes;
    scrub(wasm);
    // Growing detaches the buffer, so whoever kept a view of it sees nothing of what comes.
    wasm.grow(0);
    this.used -= length;
    this.partitions--;
    this.vcpus -= vcpuCount;
    if (length <= LARGEST_FREE) this.free.push(wasm);
    if (this.free.length > MOST_FREE) this.free.shift();
    return length;
  }
}

function makeMemory(make: () => PartitionMemory): PartitionMemory {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) throw new HostRefusal('The system has no memory for another partition; destroy one first.');
    throw error;
  }
}
