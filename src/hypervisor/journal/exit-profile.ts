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
  private readonly counts = new Map<string, number[]>();
  private width = FIRST_WIDTH;
  private total = 0;
  private instructions = 0;

  add({ reason, icount }: Pick<ExitRecord, 'reason' | 'icount'>): void {
    const at = Number(icount);
    while (at >= this.width * MOST_SPANS) this.widen();
    const counts = this.counts.get(reason) ?? [];
    this.counts.set(reason, counts);
    const span = Math.floor(at / this.width);
    while (counts.length <= span) counts.push(0);
    counts[span] = (counts[span] ?? 0) + 1;
    this.total++;
    this.instructions = Math.max(this.instructions, at);
  }

  /** Two spans become one. */
  private widen(): void {
    this.width *= 2;
    for (const [reason, counts] of this.counts) {
      const wide = Array.from({ length: Math.ceil(counts.length / 2) }, (_, span) => {
        return (counts[2 * span] ?? 0) + (counts[2 * span + 1] ?? 0);
      });
      this.counts.set(reason, wide);
    }
  }

  clear(): void {
    this.counts.clear();
    this.width = FIRST_WIDTH;
    this.total = this.instructions = 0;
  }

  data(): ExitProfileData {
    const { total, instructions, width } = this;
    const reasons = [...this.counts].map(([reason, counts]) => ({
      reason,
      total: counts.reduce((sum, count) => sum + count, 0),
      counts: [...counts],
    }));
    reasons.sort((a, b) => b.total - a.total || (a.reason < b.reason ? -1 : 1));
    return { total, instructions, width, reasons };
  }
}
