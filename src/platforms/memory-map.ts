import type { RamRegion } from '../processor/memory/partition-memory.ts';

/** The window of a PC's display adapter: a hole in RAM. */
const VGA_START = 0xa_0000;
const VGA_END = 0xc_0000;
/** RAM ends here below 4 GiB; device addresses follow. */
export const LOW_RAM_LIMIT = 0xc000_0000;
const FOUR_GIB = 0x1_0000_0000n;

export interface MemoryMap {
  readonly ram: readonly RamRegion[];
  /** Bytes up to the end of RAM below 4 GiB, and bytes from 4 GiB on. */
  readonly lowTop: bigint;
  readonly highMemory: bigint;
}

/**
 * RAM of a PC: from 0 to at most 3 GiB, the rest from 4 GiB on. The display window at 0xA0000 is a hole; the option ROM and
 * BIOS area from 0xC0000 to 1 MiB is plain RAM, since no firmware is there.
 */
export function memoryMap(memory: number): MemoryMap {
  const low = Math.min(memory, LOW_RAM_LIMIT);
  const high = memory - low;
  const ram: RamRegion[] = [{ gpa: 0n, length: Math.min(low, VGA_START) }];
  if (low > VGA_END) ram.push({ gpa: BigInt(VGA_END), length: low - VGA_END });
  if (high > 0) ram.push({ gpa: FOUR_GIB, length: high });
  return { ram, lowTop: BigInt(low), highMemory: BigInt(high) };
}
