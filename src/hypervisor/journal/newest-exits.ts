import { icountOf, instructionsBetween } from './exit-entry.ts';
import type { ExitJournal, ExitRecord, PlacedRecord } from './exit-journal.ts';

/** An exit with what the exits around it tell. */
export interface NewestExit extends PlacedRecord {
  /** Instructions of its vCPU since the exit before, whether that one was chosen or not; undefined where it isn't kept any more. */
  instructions?: number;
}

export interface WantedExits {
  /** How many at most. */
  readonly count: number;
  readonly chosen: (record: ExitRecord) => boolean;
  /** Those with a higher place in the order alone. */
  readonly after?: number;
  /** Records that are looked at, at most. */
  readonly examined: number;
}

export interface NewestExits {
  /** Oldest first. */
  readonly exits: readonly NewestExit[];
  /** There may be more of them, older than these and newer than `after`. */
  readonly hasMore: boolean;
}

/** One journal on the way from its newest record back. */
class Walk {
  private readonly records: Iterator<PlacedRecord, void>;
  head: PlacedRecord | undefined;
  private passed = 0;
  private lastOrder = Number.POSITIVE_INFINITY;

  constructor(private readonly journal: ExitJournal) {
    this.records = journal.newestFirst()[Symbol.iterator]();
    this.head = this.records.next().value ?? undefined;
  }

  advance(): void {
    if (!this.head) return;
    this.passed++;
    this.lastOrder = this.head.order;
    this.head = this.records.next().value ?? undefined;
  }

  /** It came to the first exit of its partition: none was dropped before. */
  get isAtBeginning(): boolean {
    return this.head === undefined && this.passed === this.journal.total;
  }

  /** There are, or were, records that it didn't come to, and that are newer than a place in the order. */
  hasLeft(after: number): boolean {
    if (this.head) return this.head.order > after;
    return !this.isAtBeginning && this.lastOrder > after + 1;
  }
}

/** The newest exits of several partitions of a host, in the order in which they happened. */
export function newestExits(journals: readonly ExitJournal[], { count, chosen, after = 0, examined }: WantedExits): NewestExits {
  const walks = journals.map((journal) => new Walk(journal));
  const found: NewestExit[] = [];
  /** Of each vCPU the oldest exit so far, where the one before it isn't known yet. */
  const waiting = new Map<string, { readonly exit: NewestExit; readonly walk: Walk }>();
  let left = examined;
  let hasMore = false;
  for (; left > 0; left--) {
    const walk = newest(walks);
    if (!walk?.head) break;
    const { head } = walk;
    const { record, order } = head;
    const isFull = found.length >= count;
    const isWanted = order > after;
    if ((isFull || !isWanted) && waiting.size === 0) break;
    // Whether it would be chosen is not worth the time.
    hasMore ||= isFull && isWanted;
    const vcpu = `${record.partition}.${record.vcpu}`;
    const later = waiting.get(vcpu)?.exit;
    if (later) {
      later.instructions = instructionsBetween(icountOf(record), icountOf(later.record));
      waiting.delete(vcpu);
    }
    if (isWanted && !isFull && chosen(record)) {
      const exit = { record, order };
      found.push(exit);
      waiting.set(vcpu, { exit, walk });
    }
    walk.advance();
  }
  for (const { exit, walk } of waiting.values()) if (walk.isAtBeginning) exit.instructions = icountOf(exit.record);
  hasMore ||= walks.some((walk) => walk.hasLeft(after));
  return { exits: found.reverse(), hasMore };
}

function newest(walks: readonly Walk[]): Walk | undefined {
  let best: Walk | undefined;
  for (const walk of walks) if (walk.head && walk.head.order > (best?.head?.order ?? 0)) best = walk;
  return best;
}
