import type { SecondLevelMap } from '../../../hypervisor/second-level/second-level-map.ts';
import { hex } from '../../../x86/address.ts';
import { KvmError } from '../api/errors.ts';
import type { UserMemory } from '../api/vm.ts';
import { USER_BASE } from '../vm/memory-slots.ts';

const PAGE = 0x1000n;

/** The memory that an emulated virtual machine's VMM can give it: a part of the partition's own. */
export class EmulatedUserMemory implements UserMemory {
  private used = 0n;
  private readonly size: bigint;

  constructor(private readonly secondLevel: SecondLevelMap) {
    this.size = BigInt(secondLevel.words.length) * PAGE;
  }

  map(size: bigint): bigint {
    if (size <= 0n) throw new KvmError('EINVAL', 'A mapping has at least one byte');
    const pages = (size + PAGE - 1n) & -PAGE;
    if (this.used + pages > this.size)
      throw new KvmError('ENOMEM', `The process has ${hex(this.size - this.used)} bytes left; ${hex(pages)} were asked for`);
    const address = USER_BASE + this.used;
    this.used += pages;
    return address;
  }

  read(address: bigint, length: number): Uint8Array {
    const offset = this.offsetOf(address, length);
    return this.secondLevel.memory.bytes.slice(offset, offset + length);
  }

  /** What the guest has decoded or translated of it, it does anew. */
  write(address: bigint, bytes: Uint8Array): void {
    const { memory } = this.secondLevel;
    const offset = this.offsetOf(address, bytes.length);
    memory.bytes.set(bytes, offset);
    const end = offset + bytes.length;
    for (const region of memory.regions) {
      const from = Math.max(offset, region.offset);
      const to = Math.min(end, region.offset + region.length);
      if (from < to) memory.notifyWrite(region.gpa + BigInt(from - region.offset), to - from, 'owner');
    }
  }

  private offsetOf(address: bigint, length: number): number {
    if (address < USER_BASE || address + BigInt(length) > USER_BASE + this.used)
      throw new KvmError('EFAULT', `${hex(length)} bytes at ${hex(address)} are not mapped`);
    return this.secondLevel.start + Number(address - USER_BASE);
  }
}
