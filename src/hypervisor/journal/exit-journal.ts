import type { ExitReason } from '../../processor/exit.ts';
import type { ServedBy } from '../../stages/stage.ts';
import type { Facet } from './exit-facets.ts';
import type { ExitFilter } from './exit-filter.ts';
import type { ExitProfile } from './exit-profile.ts';
import type { ExitStatistics } from './exit-statistics.ts';

/** One VM exit, as the journal file has it: a JSON object a line, addresses as hex strings. */
export interface ExitRecord {
  readonly seq: number;
  readonly partition: number;
  readonly vcpu: number;
  readonly icount: string;
  readonly rip: string;
  readonly reason: ExitReason;
  /** VMX basic exit reason and SVM exit code of the same event. */
  readonly vmx: number;
  readonly svm: number;
  /** VMX exit qualification, or EXITINFO1 on AMD. */
  readonly qualification: string;
  /** Name of the handler that served it: `kvm-intel handle_io`. */
  handler?: string;
  /** What was asked, decoded: `out 0x3f8, 0x48`. */
  request: string;
  /** What came of it: `ok`, `#GP(0)`, a value. */
  result?: string;
  to?: ServedBy;
  /** Id of the stage that its handler begins with; known in memory only. */
  stage?: string;
}

/** The record as plain data: fields in the order of docs/reference/exit-journal.md. */
export function plainRecord(record: ExitRecord): ExitRecord {
  const { seq, partition, vcpu, icount, rip, reason, vmx, svm, qualification, handler, request, result, to } = record;
  return { seq, partition, vcpu, icount, rip, reason, vmx, svm, qualification, handler, request, result, to };
}

/** A record with its place among the exits of all partitions of its host. */
export interface PlacedRecord {
  readonly record: ExitRecord;
  /** From 1, in the order in which the handlers finished. */
  readonly order: number;
}

/** What is counted of the records that are kept. */
export interface CountedPart {
  /** All where it is missing. */
  readonly facets?: readonly Facet[];
  /** How many records; all where it is missing. */
  readonly newest?: number;
}

/** Records of a partition's exits: a bounded ring in memory, counts that are never dropped, and listeners. */
export interface ExitJournal {
  readonly total: number;
  readonly countByReason: ReadonlyMap<ExitReason, number>;
  /** The newest `count` records that pass the filter, oldest first. */
  latest(count: number, filter?: ExitFilter): readonly ExitRecord[];
  /** All that are kept. Nothing may be entered meanwhile. */
  newestFirst(): Iterable<PlacedRecord>;
  /**
   * Counts by facet. Whoever asks for the first time starts the counting, since it costs each exit a little: it begins with the oldest
   * record that is kept, so it has all exits if no record was dropped before.
   */
  readonly statistics: ExitStatistics;
  /** Counts of the records that are kept and pass a filter; of some of the facets or of the newest ones alone, which takes less time. */
  statisticsOf(filter: ExitFilter, part?: CountedPart): ExitStatistics;
  /** Counts by reason over the run. Whoever asks for the first time starts the counting, as with the statistics. */
  readonly profile: ExitProfile;
  /** Starts that counting for somebody who will ask later. */
  startProfile(): ExitProfile;
  /** Called for each record once its handler has finished. */
  onRecord(listener: (record: ExitRecord) => void): void;
}
