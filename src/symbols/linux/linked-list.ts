import type { KernelMemory } from './kernel-memory.ts';

/**
 * The structures on one of the kernel's circular lists (`struct list_head`), by the address of the list's head and the offset of their
 * links, at most so many. It ends where the list can't be read or runs in circles.
 */
export function* linkedList(memory: KernelMemory, head: bigint, linkOffset: number, most: number): Generator<bigint> {
  const seen = new Set<bigint>([head]);
  for (let at = memory.u64(head); at !== undefined && !seen.has(at) && seen.size <= most; at = memory.u64(at)) {
    seen.add(at);
    yield BigInt.asUintN(64, at - BigInt(linkOffset));
  }
}
