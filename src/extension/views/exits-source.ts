import type { ExitGroupsAnswer, ExitRecordsAnswer, ShownExit, ShownGroup } from '../../adapter/requests/exits.ts';
import type { HostMessage, RowReference, TableChoice } from '../../webview/exits-table/messages.ts';
import { MOST_ROWS } from '../../webview/exits-table/table-model.ts';
import { groupRow, recordRow } from './exit-rows.ts';

/** Groups that are shown. */
const MOST_GROUPS = 200;
/** Newest records that are fetched at once while guests run: more than are in sight, and little work for the adapter. */
const WHILE_MOVING = 100;

/** How a session is asked for its exits. Both reject with the adapter's sentence. */
export interface ExitsSession {
  records(parameters: object): PromiseLike<ExitRecordsAnswer>;
  groups(parameters: object): PromiseLike<ExitGroupsAnswer>;
}

/**
 * What the table shows of the exits of one session: fetches what is new since the last answer, and knows what each row is about. It holds
 * as many records as the table does.
 */
export class ExitsSource {
  /** New exits are fetched as they happen. */
  following = true;
  /** Values of the groups whose records are wanted. */
  unfolded: readonly string[] = [];
  /** Oldest first. */
  private records: readonly ShownExit[] = [];
  /** Those before: a table that has just ceased to follow may still show them. */
  private recordsBefore: readonly ShownExit[] = [];
  private groups: readonly ShownGroup[] = [];
  /** Launch of the session that the records are of. */
  private run = 0;
  /** Older records that are kept were left out, since the guests moved. */
  private isCut = false;
  /** The page shows nothing yet: it gets all with the next answer. */
  private isNew = true;
  /** What the page was told last, where telling it again would change nothing. */
  private told = '';

  /** Forgets everything: another session, or other exits are wanted. */
  reset(): void {
    this.records = [];
    this.groups = [];
    this.isCut = false;
    this.renew();
  }

  /** The page has begun anew: it follows. */
  renew(): void {
    this.following = true;
    this.isNew = true;
    this.told = '';
  }

  /** What the page is to be told now; undefined for nothing new. Rejects as the session does. */
  async next(session: ExitsSession, choice: TableChoice, moving: boolean): Promise<HostMessage | undefined> {
    const message = await (choice.by === ''
      ? this.nextRecords(session, choice, moving)
      : this.nextGroups(session, choice, moving));
    const hasRows = message.kind === 'records' && (message.reset || message.rows.length > 0);
    const text = hasRows ? '' : JSON.stringify(message);
    if (text !== '' && text === this.told) return undefined;
    this.told = text;
    return message;
  }

  private async nextRecords(session: ExitsSession, { filter }: TableChoice, moving: boolean): Promise<HostMessage> {
    if (!this.following) {
      const { total, run } = await session.records({ count: 0 });
      if (run === this.run) return { kind: 'total', moving, total };
      // The guests were started anew: what the table shows is of another run.
      this.following = true;
    }
    const count = moving ? WHILE_MOVING : MOST_ROWS;
    const after = this.isCut && !moving ? 0 : (this.records.at(-1)?.order ?? 0);
    let answer = await session.records({ filter, count, after });
    if (answer.run !== this.run && after > 0) answer = await session.records({ filter, count });
    const { records, hasMore, total, run, partitions } = answer;
    // The new ones don't follow those that are there, or there are none.
    const isGap = run !== this.run || hasMore || after === 0;
    if (isGap) this.isCut = hasMore && count < MOST_ROWS && records.length === count;
    this.run = run;
    const hadRows = this.records.length > 0;
    if (isGap) this.recordsBefore = this.records;
    this.records = (isGap ? records : [...this.records, ...records]).slice(-MOST_ROWS);
    const reset = this.isNew || (isGap && (hadRows || records.length > 0));
    const rows = (reset ? this.records : records).map(recordRow).reverse();
    this.isNew = false;
    return { kind: 'records', moving, run, total, reset, rows, hasMore: isGap && hasMore, severalPartitions: partitions > 1 };
  }

  private async nextGroups(session: ExitsSession, { by, filter }: TableChoice, moving: boolean): Promise<HostMessage> {
    const { unfolded: unfold } = this;
    const answer = await session.groups({ by, filter, count: MOST_GROUPS, unfold });
    const { total, counted, groupCount, partitions } = answer;
    this.groups = answer.groups;
    this.isNew = false;
    const groups = answer.groups.map((group) => groupRow(by, group));
    return { kind: 'groups', moving, total, counted, groupCount, groups, severalPartitions: partitions > 1 };
  }

  /** The exit of a row; undefined where it isn't shown any more. */
  exitOf(row: RowReference | undefined): ShownExit | undefined {
    if (!row || !('exit' in row)) return undefined;
    const all = [...this.records, ...this.recordsBefore, ...this.groups.flatMap(({ records = [] }) => records)];
    return all.find(({ order }) => order === row.exit);
  }

  groupOf(row: RowReference | undefined): ShownGroup | undefined {
    return row && 'group' in row ? this.groups.find(({ value }) => value === row.group) : undefined;
  }
}
