import type { ExitRecord } from './exit-journal.ts';

/** Spans that a run is divided into at most; half as many are kept when they would be more. */
const MOST_SPANS = 128;
/** Instructions of the first spans. */
const FIRST_WIDTH = 1024;

/** How often one exit reason was. */
export interface ProfiledReason {
  readonly reason: string;
  readonly total: number;
  /** By the span of the run, from its start; spans behind the last one with such an exit are missing. */
  readonly counts: readonly number[];
}

/** The exits of a partition over its run. */
export interface ExitProfileData {
  readonly total: number;
  /** Instructions that the vCPU of the last exit had retired by then. */
  readonly instructions: number;
  /** Instructions of one span: what the vCPU that left had retired says into which it belongs. */
  readonly width: number;
  /** The most frequent first. */
  readonly reasons: readonly ProfiledReason[];
}

/** Counts exits by reason over the time of a run, in as many spans as a chart can show: however long the run, it takes the same room. */
export class ExitProfile {
  /** By reason: exits in each span. */
  private readonly counts = new Map<string, Float64Array>();
  /** The reason that was counted last, and its counts: most exits are like the one before. */
  private last = '';
  private lastCounts: Float64Array | undefined;
  private width = FIRST_WIDTH;
  private total = 0;
  private instructions = 0;

  /** Counts a record of a journal file. */
  add({ reason, icount }: Pick<ExitRecord, 'reason' | 'icount'>): void {
    this.count(reason, Number(icount));
  }

  /** Counts an exit of a vCPU that had retired so many instructions. It is done at every exit of a debugged guest: it must be cheap. */
  count(reason: string, instructions: number): void {
    while (instructions >= this.width * MOST_SPANS) this.widen();
    const counts = this.countsOf(reason);
    const span = Math.floor(instructions / this.width);
    counts[span] = (counts[span] ?? 0) + 1;
    this.total++;
    if (instructions > this.instructions) this.instructions = instructions;
  }

  private countsOf(reason: string): Float64Array {
    if (this.lastCounts && reason === this.last) return this.lastCounts;
    const counts = this.counts.get(reason) ?? new Float64Array(MOST_SPANS);
    this.counts.set(reason, counts);
    this.last = reason;
    this.lastCounts = counts;
    return counts;
  }

  /** Two spans become one. */
  private widen(): void {
    this.width *= 2;
    for (const counts of this.counts.values()) {
      for (let span = 0; span < MOST_SPANS / 2; span++) counts[span] = (counts[2 * span] ?? 0) + (counts[2 * span + 1] ?? 0);
      counts.fill(0, MOST_SPANS / 2);
    }
  }

  clear(): void {
    this.counts.clear();
    this.lastCounts = undefined;
    this.width = FIRST_WIDTH;
    this.total = this.instructions = 0;
  }

  data(): ExitProfileData {
    const { total, instructions, width } = this;
    const reasons = [...this.counts].map(([reason, counts]) => ({
      reason,
      total: counts.reduce((sum, count) => sum + count, 0),
      counts: [...counts.subarray(0, usedSpans(counts))],
    }));
    reasons.sort((a, b) => b.total - a.total || (a.reason < b.reason ? -1 : 1));
    return { total, instructions, width, reasons };
  }
}

/** Spans up to the last one that has something. */
function usedSpans(counts: Float64Array): number {
  let used = counts.length;
  while (used > 0 && counts[used - 1] === 0) used--;
  return used;
}
