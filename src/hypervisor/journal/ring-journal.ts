import type { ExitReason } from '../../processor/exit.ts';
import type { Facet } from './exit-facets.ts';
import type { ExitFilter } from './exit-filter.ts';
import { type CountedPart, type ExitJournal, type ExitRecord, plainRecord } from './exit-journal.ts';
import { ExitProfile } from './exit-profile.ts';
import { ExitStatistics } from './exit-statistics.ts';

/** Records that are kept in memory, unless it is said otherwise. */
export const DEFAULT_KEPT = 4096;

/** The journal of one partition: a ring of the newest records, counts of all. */
export class RingJournal implements ExitJournal {
  private ring: ExitRecord[] = [];
  private started = 0;
  private finished = 0;
  private readonly counts = new Map<ExitReason, number>();
  private readonly listeners: ((record: ExitRecord) => void)[] = [];
  private counting: ExitStatistics | undefined;
  private profiling: ExitProfile | undefined;

  /** `capacity`: most records that are kept; 0 to count exits by reason alone. */
  constructor(private readonly capacity = DEFAULT_KEPT) {}

  /** Exits whose handlers have finished. */
  get total(): number {
    return this.finished;
  }
  get countByReason(): ReadonlyMap<ExitReason, number> {
    return this.counts;
  }

  /** Number of the next record, from 1. */
  nextSeq(): number {
    return ++this.started;
  }

  latest(count: number, filter: ExitFilter = () => true): readonly ExitRecord[] {
    const records: ExitRecord[] = [];
    for (let back = 1; back <= this.ring.length && records.length < count; back++) {
      const record = this.ring[(this.finished - back) % this.capacity];
      if (record && filter(record)) records.push(record);
    }
    return records.reverse();
  }

  get statistics(): ExitStatistics {
    this.counting ??= this.count(this.capacity);
    return this.counting;
  }

  statisticsOf(filter: ExitFilter, { facets, newest = this.capacity }: CountedPart = {}): ExitStatistics {
    return this.count(newest, facets, filter);
  }

  private count(newest: number, facets?: readonly Facet[], filter?: ExitFilter): ExitStatistics {
    const statistics = new ExitStatistics(facets, filter);
    statistics.clear(this.finished <= Math.min(newest, this.capacity));
    for (const record of this.latest(newest)) statistics.add(record);
    return statistics;
  }

  get profile(): ExitProfile {
    return this.startProfile();
  }

  startProfile(): ExitProfile {
    if (!this.profiling) {
      this.profiling = new ExitProfile();
      for (const record of this.latest(this.capacity)) this.profiling.add(record);
    }
    return this.profiling;
  }

  onRecord(listener: (record: ExitRecord) => void): void {
    this.listeners.push(listener);
  }

  /** Enters the record of an exit whose handler has finished. */
  enter(record: ExitRecord): void {
    if (this.capacity > 0) this.ring[this.finished % this.capacity] = record;
    this.finished++;
    this.counts.set(record.reason, (this.counts.get(record.reason) ?? 0) + 1);
    this.counting?.add(record);
    this.profiling?.add(record);
    for (const listener of this.listeners) listener(record);
  }

  clear(): void {
    this.ring = [];
    this.started = 0;
    this.finished = 0;
    this.counts.clear();
    this.counting?.clear();
    this.profiling?.clear();
  }
}

/** A record as one line of a journal file, fields in the order of docs/reference/exit-journal.md, without line end. */
export function journalLine(record: ExitRecord): string {
  return JSON.stringify(plainRecord(record));
}
