import type { PartitionMemory } from './partition-memory.ts';

/** Linear pages by their numbers: bits 47:12 of their addresses. */
export interface PageRange {
  readonly first: number;
  readonly count: number;
}

/** A vCPU's translations, as the registry sees them. */
export interface TranslationHolder {
  /** Drops what lets stores reach a page of RAM without asking: translations come from it for the first time. */
  dropWriteTranslations(gpa: number): void;
  /** Drops the translations of a range: an entry that they may come from has changed. `fetched`: code may come from there. */
  dropTranslations(range: PageRange, fetched: boolean): void;
  /** Drops all translations. */
  flushTranslations(): void;
}

const PRESENT = 1;
/** Places in the linear address space that one table is followed for. Recursive tables have up to four. */
const MOST_USES = 8;

/** Changes of a table that no walk goes through any more, after which it is taken for a page of something else. */
const MOST_CHANGES = 4096;

/** A page with tables. */
interface TablePage {
  uses: TableUse[];
  /** Changes since the last walk. */
  changes: number;
}

/** A table as one walk uses it: at a level, for a part of the linear address space. */
interface TableUse {
  /** Number of the first linear page that it maps. */
  readonly base: number;
  readonly pagesPerEntry: number;
  readonly bytesPerEntry: number;
  /** Code was fetched through it. */
  fetched: boolean;
}

/**
 * Which pages of a partition hold page tables that translations were made from, for all of its vCPUs. Stores to such pages take
 * the slow path, and a changed entry drops what was made from it. So translations always are what the tables say at that
 * instruction, whatever was decoded, watched or stopped at before: a processor may drop a cached translation at any time
 * (Intel SDM vol. 3, 4.10.2), and the same program has the same states in every run.
 */
export class TableRegistry {
  /** By page number. */
  private readonly pages = new Map<number, TablePage>();
  private readonly holders: TranslationHolder[] = [];
  /** Changes whenever a table is followed no longer. */
  generation = 0;

  constructor(private readonly memory: PartitionMemory) {
    // A walk that sets accessed and dirty bits changes no translation.
    memory.onWrite((gpa, length, cause) => cause !== 'walk' && this.written(gpa, length));
  }

  join(holder: TranslationHolder): void {
    this.holders.push(holder);
  }

  /** Whether the page of a guest physical address has any. */
  hasTables(gpa: number): boolean {
    return this.pages.size > 0 && this.pages.has(Math.floor(gpa / 0x1000));
  }

  /** Says that a translation came from an entry of a table at this guest physical address. */
  add(gpa: number, base: number, pagesPerEntry: number, bytesPerEntry: number, fetched: boolean): void {
    const page = Math.floor(gpa / 0x1000);
    let table = this.pages.get(page);
    if (!table) {
      table = { uses: [], changes: 0 };
      this.pages.set(page, table);
      for (const holder of this.holders) holder.dropWriteTranslations(page * 0x1000);
    }
    table.changes = 0;
    for (const use of table.uses)
      if (use.base === base && use.pagesPerEntry === pagesPerEntry && use.bytesPerEntry === bytesPerEntry) {
        use.fetched ||= fetched;
        return;
      }
    table.uses.push({ base, pagesPerEntry, bytesPerEntry, fetched });
  }

  /** Whether a store within a page may change an entry that was followed: one that isn't present never was. */
  mayChange(gpa: number, size: number): boolean {
    if (!this.hasTables(gpa)) return false;
    const offset = this.memory.offsetOf(gpa);
    const end = offset + size;
    for (let at = offset - (offset % 8); at < end; at += 4) if (this.memory.view.getUint32(at, true) & PRESENT) return true;
    return false;
  }

  /** Says that entries have changed. */
  changed(gpa: number, size: number): void {
    const table = this.pages.get(Math.floor(gpa / 0x1000));
    if (!table) return;
    if (table.uses.length > MOST_USES || ++table.changes > MOST_CHANGES) {
      this.flush();
      return;
    }
    const offset = gpa % 0x1000;
    for (const { base, pagesPerEntry, bytesPerEntry, fetched } of table.uses) {
      const first = Math.floor(offset / bytesPerEntry);
      const entries = Math.floor((offset + size - 1) / bytesPerEntry) - first + 1;
      const range = { first: base + first * pagesPerEntry, count: entries * pagesPerEntry };
      for (const holder of this.holders) holder.dropTranslations(range, fetched);
      if (pagesPerEntry > 1) this.forgetTables(range, pagesPerEntry);
    }
  }

  /** Forgets the tables below an entry that has changed: what they map is known from them no longer. */
  private forgetTables({ first, count }: PageRange, span: number): void {
    for (const [page, table] of this.pages) {
      const isBelow = ({ base, pagesPerEntry }: TableUse) => pagesPerEntry < span && base >= first && base < first + count;
      if (!table.uses.some(isBelow)) continue;
      this.generation++;
      table.uses = table.uses.filter((use) => !isBelow(use));
      if (table.uses.length === 0) this.pages.delete(page);
    }
  }

  /** Drops all translations and forgets all tables: what is behind the tables has changed, or too many of them. */
  flush(): void {
    this.pages.clear();
    this.generation++;
    for (const holder of this.holders) holder.flushTranslations();
  }

  private written(gpa: bigint, length: number): void {
    const first = Number(gpa >> 12n);
    const last = Number((gpa + BigInt(length) - 1n) >> 12n);
    for (const page of this.pages.keys())
      if (page >= first && page <= last) {
        this.flush();
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
