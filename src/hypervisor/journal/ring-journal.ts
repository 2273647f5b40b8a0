import type { ExitReason } from '../../processor/exit.ts';
import type { ExitJournal, ExitRecord } from './exit-journal.ts';

/** Records that are kept in memory. */
const CAPACITY = 4096;

/** The journal of one partition: a ring of the newest records, counts of all. */
export class RingJournal implements ExitJournal {
  private ring: ExitRecord[] = [];
  private started = 0;
  private finished = 0;
  private readonly counts = new Map<ExitReason, number>();
  private readonly listeners: ((record: ExitRecord) => void)[] = [];

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

  latest(count: number): readonly ExitRecord[] {
    const kept = Math.min(count, this.ring.length);
    const records: ExitRecord[] = [];
    for (let back = kept; back > 0; back--) {
      const record = this.ring[(this.finished - back) % CAPACITY];
      if (record) records.push(record);
    }
    return records;
  }

  onRecord(listener: (record: ExitRecord) => void): void {
    this.listeners.push(listener);
  }

  /** Enters the record of an exit whose handler has finished. */
  enter(record: ExitRecord): void {
    this.ring[this.finished % CAPACITY] = record;
    this.finished++;
    this.counts.set(record.reason, (this.counts.get(record.reason) ?? 0) + 1);
    for (const listener of this.listeners) listener(record);
  }

  clear(): void {
    this.ring = [];
    this.started = 0;
    this.finished = 0;
    this.counts.clear();
  }
}

/** A record as one line of a journal file, fields in the order of docs/reference/exit-journal.md, without line end. */
export function journalLine(record: ExitRecord): string {
  const { seq, partition, vcpu, icount, rip, reason, vmx, svm, qualification, handler, request, result, to } = record;
  return JSON.stringify({ seq, partition, vcpu, icount, rip, reason, vmx, svm, qualification, handler, request, result, to });
}
