import type { PartitionMemory } from './partition-memory.ts';

/** A vCPU's decoded code, as the registry sees it. */
export interface CodeHolder {
  /** Drops blocks that have bytes in the range. */
  dropCode(gpa: bigint, length: number): void;
  /** Drops what lets stores reach a page of RAM without asking: it gets its first decoded code. */
  dropWriteTranslations(gpa: number): void;
}

const GRANULE_SHIFT = 7n;

/**
 * Which pages of a partition have decoded code, for all of its vCPUs, at a grain of 128 bytes. Stores to such pages take the
 * slow path, and those that touch a granule with code drop it everywhere.
 */
export class CodeRegistry {
  /** Page number → bit per 128-byte granule. */
  private readonly pages = new Map<number, number>();
  private readonly holders: CodeHolder[] = [];

  constructor(memory: PartitionMemory) {
    memory.onWrite((gpa, length) => this.written(gpa, length));
  }

  join(holder: CodeHolder): void {
    this.holders.push(holder);
  }

  /** Whether the page of a guest physical address has any. */
  hasCode(gpa: number): boolean {
    return this.pages.has(Math.floor(gpa / 0x1000));
  }

  /** Says that code was decoded from a range within one page. */
  add(gpa: bigint, length: number): void {
    const page = Number(gpa >> 12n);
    const old = this.pages.get(page);
    this.pages.set(page, (old ?? 0) | granules(gpa, length));
    if (old === undefined) for (const holder of this.holders) holder.dropWriteTranslations(page * 0x1000);
  }

  /** Says that RAM changed: decoded code there is dropped. */
  written(gpa: bigint, length: number): void {
    const last = (gpa + BigInt(length) - 1n) >> 12n;
    for (let page = gpa >> 12n; page <= last; page++) {
      const mask = this.pages.get(Number(page));
      if (mask === undefined) continue;
      const from = page << 12n > gpa ? page << 12n : gpa;
      const end = (page + 1n) << 12n;
      const to = gpa + BigInt(length) < end ? gpa + BigInt(length) : end;
      const touched = granules(from, Number(to - from));
      if ((mask & touched) === 0) continue;
      // The whole granules go: their blocks are dropped with them.
      this.pages.set(Number(page), mask & ~touched);
      for (const holder of this.holders) holder.dropCode((from >> GRANULE_SHIFT) << GRANULE_SHIFT, Number(to - from) + 256);
    }
  }

  /** Forgets all: every holder has dropped its code. */
  clear(): void {
    this.pages.clear();
  }
}

function granules(gpa: bigint, length: number): number {
  const first = Number((gpa & 0xfffn) >> GRANULE_SHIFT);
  const last = Number(((gpa & 0xfffn) + BigInt(length) - 1n) >> GRANULE_SHIFT);
  let mask = 0;
  for (let index = first; index <= Math.min(last, 31); index++) mask |= 1 << index;
  return mask;
}

const registries = new WeakMap<PartitionMemory, CodeRegistry>();

/** The registry of a partition's memory. */
export function codeRegistry(memory: PartitionMemory): CodeRegistry {
  let registry = registries.get(memory);
  if (!registry) {
    registry = new CodeRegistry(memory);
    registries.set(memory, registry);
  }
  return registry;
}
