import type { PartitionMemory } from './partition-memory.ts';

/** A vCPU's translations, as the registry sees them. */
export interface TranslationHolder {
  /** Drops what lets stores reach RAM without asking: called when translations come from another page for the first time. */
  flushWriteTranslations(): void;
  /** Drops all translations: one that may have been used has changed. */
  flushTranslations(): void;
}

const PRESENT = 1;

/**
 * Which pages of a partition hold page tables that translations were made from, for all of its vCPUs. Stores to such pages take
 * the slow path, and a changed entry flushes what was made from it. So translations always are what the tables say at that
 * instruction, whatever was decoded, watched or stopped at before: a processor may drop a cached translation at any time
 * (Intel SDM vol. 3, 4.10.2), and the same program has the same states in every run.
 */
export class TableRegistry {
  /** Page numbers. */
  private readonly pages = new Set<number>();
  private readonly holders: TranslationHolder[] = [];

  constructor(private readonly memory: PartitionMemory) {
    // A walk that sets accessed and dirty bits changes no translation.
    memory.onWrite((gpa, length, cause) => cause !== 'walk' && this.written(gpa, length));
  }

  join(holder: TranslationHolder): void {
    this.holders.push(holder);
  }

  hasTables(gpa: bigint): boolean {
    return this.pages.size > 0 && this.pages.has(Number(gpa >> 12n));
  }

  /** Says that a translation came from an entry at this guest physical address. */
  add(gpa: number): void {
    const page = Math.floor(gpa / 0x1000);
    if (this.pages.has(page)) return;
    this.pages.add(page);
    for (const holder of this.holders) holder.flushWriteTranslations();
  }

  /** Whether a store within a page may change an entry that was followed: one that isn't present never was. */
  mayChange(gpa: bigint, size: number): boolean {
    if (!this.hasTables(gpa)) return false;
    const place = this.memory.locate(gpa);
    if (!place) return false;
    const end = place.offset + size;
    for (let at = place.offset & ~7; at < end; at += 4) if (this.memory.view.getUint32(at, true) & PRESENT) return true;
    return false;
  }

  /** Says that an entry has changed. */
  changed(): void {
    this.pages.clear();
    for (const holder of this.holders) holder.flushTranslations();
  }

  private written(gpa: bigint, length: number): void {
    const first = Number(gpa >> 12n);
    const last = Number((gpa + BigInt(length) - 1n) >> 12n);
    for (const page of this.pages)
      if (page >= first && page <= last) {
        this.changed();
        return;
      }
  }
}

const registries = new WeakMap<PartitionMemory, TableRegistry>();

/** The registry of a partition's memory. */
export function tableRegistry(memory: PartitionMemory): TableRegistry {
  let registry = registries.get(memory);
  if (!registry) {
    registry = new TableRegistry(memory);
    registries.set(memory, registry);
  }
  return registry;
}
