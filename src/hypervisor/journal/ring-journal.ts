import { EXIT_REASONS, type ExitReason } from '../../processor/exit.ts';
import { ExitEntry, icountOf } from './exit-entry.ts';
import type { Facet } from './exit-facets.ts';
import type { ExitFilter } from './exit-filter.ts';
import { type CountedPart, type ExitJournal, type ExitRecord, type PlacedRecord, plainRecord } from './exit-journal.ts';
import { ExitOrder } from './exit-order.ts';
import { ExitProfile } from './exit-profile.ts';
import { ExitStatistics } from './exit-statistics.ts';
import { PackedEntries } from './packed-entries.ts';
import { reasonNumber } from './reason-numbers.ts';

/** Records that are kept in memory, unless it is said otherwise. */
export const DEFAULT_KEPT = 4096;

/** The journal of one partition: a ring of the newest records, counts of all. */
export class RingJournal implements ExitJournal {
  private readonly packed: PackedEntries;
  /** By the same places as the packed ones: records that can't be packed. */
  private whole: (ExitRecord | undefined)[] = [];
  /** Numbers of the records in the order of the host. */
  private readonly orders: Float64Array;
  private started = 0;
  private finished = 0;
  /** By the number of the reason. */
  private readonly counts = new Float64Array(EXIT_REASONS.length);
  private readonly listeners: ((record: ExitRecord) => void)[] = [];
  private counting: ExitStatistics | undefined;
  private profiling: ExitProfile | undefined;

  /** `capacity`: most records that are kept; 0 to count exits by reason alone. `order`: of all partitions of the host. */
  constructor(
    private readonly capacity = DEFAULT_KEPT,
    private readonly order = new ExitOrder(),
  ) {
    this.packed = new PackedEntries(capacity);
    this.orders = new Float64Array(capacity);
  }

  /** Exits whose handlers have finished. */
  get total(): number {
    return this.finished;
  }
  get countByReason(): ReadonlyMap<ExitReason, number> {
    const counted = EXIT_REASONS.map((reason, number) => [reason, this.counts[number] ?? 0] as const);
    return new Map(counted.filter(([, count]) => count > 0));
  }

  /** Number of the next record, from 1. */
  nextSeq(): number {
    return ++this.started;
  }

  latest(count: number, filter: ExitFilter = () => true): readonly ExitRecord[] {
    const records: ExitRecord[] = [];
    if (count > 0) for (const { record } of this.newestFirst()) if (filter(record) && records.push(record) >= count) break;
    return records.reverse();
  }

  *newestFirst(): Generator<PlacedRecord, void> {
    const kept = Math.min(this.finished, this.capacity);
    for (let back = 1; back <= kept; back++) {
      const place = (this.finished - back) % this.capacity;
      const record = this.whole[place] ?? this.packed.get(place);
      if (record) yield { record, order: this.orders[place] ?? 0 };
    }
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
      for (const record of this.latest(this.capacity)) this.profiling.count(record.reason, icountOf(record));
    }
    return this.profiling;
  }

  onRecord(listener: (record: ExitRecord) => void): void {
    this.listeners.push(listener);
  }

  /** Enters the record of an exit whose handler has finished. */
  enter(record: ExitRecord): void {
    const reason = reasonNumber(record.reason);
    const place = this.capacity > 0 ? this.finished % this.capacity : 0;
    const isPacked = this.capacity > 0 && record instanceof ExitEntry && this.packed.put(place, record, reason);
    if (this.capacity > 0) {
      this.whole[place] = isPacked ? undefined : record;
      this.orders[place] = this.order.next();
    }
    this.finished++;
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
    if (isPacked) this.countPacked(record, reason, place);
    else {
      this.counting?.add(record);
      this.profiling?.count(record.reason, icountOf(record));
    }
    for (const listener of this.listeners) listener(record);
  }

  /** Counts an entry that was put into a row: what is wide is read there, where it is no big integer. */
  private countPacked(entry: ExitEntry, reason: number, row: number): void {
    const { counting, profiling, packed } = this;
    if (!counting && !profiling) return;
    const icount = packed.icount(row);
    counting?.addEntry(entry, reason, icount, packed.ripLow(row), packed.ripHigh(row));
    profiling?.count(entry.reason, icount);
  }

  clear(): void {
    this.packed.clear();
    this.whole = [];
    this.started = 0;
    this.finished = 0;
    this.counts.fill(0);
    this.counting?.clear();
    this.profiling?.clear();
  }
}

/** A record as one line of a journal file, fields in the order of docs/reference/exit-journal.md, without line end. */
export function journalLine(record: ExitRecord): string {
  return JSON.stringify(plainRecord(record));
}
