import { USUAL_CHOICE } from './columns.ts';
import type { Field, GroupRow, HostMessage, RecordRow, RowReference, TableChoice } from './messages.ts';
import { sortedGroups, sortedRecords } from './row-order.ts';

/** Most rows of exits that the table keeps: as many records as the debug adapter looks at for an answer. */
export const MOST_ROWS = 5000;

/** A line of the table. */
export type Line = GroupLine | RecordLine;

interface LineParts {
  /** The same as long as it is about the same. */
  readonly key: string;
  /** Place among its siblings, from 1, and their number. */
  readonly position: number;
  readonly siblings: number;
}
export interface GroupLine extends LineParts {
  readonly kind: 'group';
  readonly row: GroupRow;
  readonly isUnfolded: boolean;
}
export interface RecordLine extends LineParts {
  readonly kind: 'record';
  readonly row: RecordRow;
  /** Key of the group that it is shown in. */
  readonly parent?: string;
}

/** Where the keyboard moves the selection to. */
export type Move = 'up' | 'down' | 'pageUp' | 'pageDown' | 'first' | 'last';

/** What the table shows and what is selected in it, without how it is drawn. */
export class TableModel {
  choice: TableChoice = USUAL_CHOICE;
  fields: readonly Field[] = [];
  /** New exits come in as they happen; otherwise the table stays as it is. */
  following = true;
  moving = false;
  /** Exits so far, and how many of them the shown ones are chosen from. */
  total = 0;
  counted = 0;
  hasMore = false;
  severalPartitions = false;
  /** What is said in place of rows. */
  problem: string | undefined;
  readonly unfolded = new Set<string>();
  /** Key of the selected line. */
  selected: string | undefined;
  /** Newest first. */
  private records: readonly RecordRow[] = [];
  private groups: readonly GroupRow[] = [];
  private groupCount = 0;
  /** Exits when the table ceased to follow them. */
  private totalBefore = 0;
  private made: readonly Line[] | undefined;
  private answered = false;
  private run = 0;

  /** Takes what the extension says. */
  take(message: HostMessage): void {
    this.made = undefined;
    switch (message.kind) {
      case 'choice':
        if (message.choice.by !== this.choice.by || message.choice.filter !== this.choice.filter) this.forget();
        this.choice = message.choice;
        this.fields = message.fields;
        return;
      case 'records':
        // It was on its way when the table ceased to follow.
        if (!this.following && message.run === this.run) return;
        this.following = true;
        this.run = message.run;
        this.records = (message.reset ? message.rows : [...message.rows, ...this.records]).slice(0, MOST_ROWS);
        // What was left out once stays out; what is cut off now is left out too.
        this.hasMore = message.hasMore || (!message.reset && this.hasMore);
        this.takeState(message);
        this.totalBefore = message.total;
        return;
      case 'groups':
        this.groups = message.groups;
        this.groupCount = message.groupCount;
        this.counted = message.counted;
        this.takeState(message);
        return;
      case 'total':
        this.total = message.total;
        this.moving = message.moving;
        return;
      case 'problem':
        this.forget();
        this.problem = message.text;
    }
  }

  private takeState({ moving, total, severalPartitions }: Extract<HostMessage, { kind: 'records' | 'groups' }>): void {
    Object.assign(this, { moving, total, severalPartitions, problem: undefined, answered: true });
    if (!this.lines.some(({ key }) => key === this.selected)) this.selected = undefined;
  }

  /** Other exits are wanted: those so far are no answer to that. */
  private forget(): void {
    this.records = [];
    this.groups = [];
    this.hasMore = false;
    this.answered = false;
    this.following = true;
    this.selected = undefined;
  }

  get isGrouped(): boolean {
    return this.choice.by !== '';
  }

  /** The newest exits come in at the top. */
  get newestFirst(): boolean {
    return this.choice.recordSort.column !== 'number' || this.choice.recordSort.descending;
  }

  /** All lines, in their order. */
  get lines(): readonly Line[] {
    this.made ??= this.isGrouped ? this.groupLines() : recordLines(sortedRecords(this.records, this.choice.recordSort));
    return this.made;
  }

  private groupLines(): readonly Line[] {
    const groups = sortedGroups(this.groups, this.choice.groupSort);
    return groups.flatMap((row, index): Line[] => {
      const key = groupKey(row.value);
      const isUnfolded = this.unfolded.has(row.value);
      const line: GroupLine = { kind: 'group', key, row, isUnfolded, position: index + 1, siblings: groups.length };
      return isUnfolded ? [line, ...recordLines(row.records, key)] : [line];
    });
  }

  get selectedIndex(): number {
    return this.selected === undefined ? -1 : this.lines.findIndex(({ key }) => key === this.selected);
  }
  get selectedLine(): Line | undefined {
    return this.lines[this.selectedIndex];
  }

  /** Selects a line; a table whose rows run away stands still then. */
  select(key: string | undefined): void {
    this.selected = key;
    if (key !== undefined && this.moving && !this.isGrouped) this.following = false;
  }

  /** Moves the selection as a key does. `page`: rows that are in sight. */
  move(move: Move, page: number): void {
    const last = this.lines.length - 1;
    if (last < 0) return;
    const now = this.selectedIndex;
    const target = {
      up: now < 0 ? last : now - 1,
      down: now + 1,
      pageUp: now - page,
      pageDown: now + page,
      first: 0,
      last,
    }[move];
    this.select(this.lines[Math.max(0, Math.min(target, last))]?.key);
  }

  /** Folds or unfolds a group. Returns whether anything changed. */
  setUnfolded(value: string, unfolded: boolean): boolean {
    if (this.unfolded.has(value) === unfolded) return false;
    if (unfolded) this.unfolded.add(value);
    else this.unfolded.delete(value);
    this.made = undefined;
    return true;
  }

  /** Left arrow: folds the group, or goes from an exit to its group. Returns whether a group was folded. */
  foldOrLeave(): boolean {
    const line = this.selectedLine;
    if (line?.kind === 'group') return this.setUnfolded(line.row.value, false);
    if (line?.parent !== undefined) this.select(line.parent);
    return false;
  }

  /** Right arrow: unfolds the group, or goes from it to its first exit. Returns whether a group was unfolded. */
  unfoldOrEnter(): boolean {
    const line = this.selectedLine;
    if (line?.kind !== 'group') return false;
    if (this.setUnfolded(line.row.value, true)) return true;
    if (line.row.records.length > 0) this.move('down', 1);
    return false;
  }

  /** Exits that came since the table ceased to follow them. */
  get newer(): number {
    return this.following ? 0 : Math.max(0, this.total - this.totalBefore);
  }

  /** What stands in place of rows; undefined where there are some, or where nothing is known yet. */
  get emptyText(): string | undefined {
    if (this.problem !== undefined) return this.problem;
    if (!this.answered || this.lines.length > 0) return undefined;
    const { by, filter } = this.choice;
    if (this.total === 0) return 'No VM exit yet.';
    if (filter !== '') return by === '' ? 'No exit passes the filter.' : `No exit with a ${by} passes the filter.`;
    return by === '' ? 'No record of an exit is kept.' : `No exit so far has a ${by}.`;
  }

  /** How many exits are shown, and of how many. */
  get countText(): string {
    if (!this.answered || this.total === 0) return '';
    const all = count(this.total, 'exit');
    if (this.isGrouped) {
      const part = this.counted === this.total ? all : `${number(this.counted)} of ${all}`;
      const groups = this.groupCount > this.groups.length ? `the ${number(this.groups.length)} most frequent of ` : '';
      return `${part} in ${groups}${count(this.groupCount, 'group')}`;
    }
    const shown = this.records.length;
    if (this.choice.filter === '') return shown === this.total ? all : `newest ${number(shown)} of ${all}`;
    return this.hasMore ? `newest ${number(shown)} that pass, of ${all}` : `${number(shown)} of ${all}`;
  }
}

export const recordKey = (order: number) => `exit ${order}`;
export const groupKey = (value: string) => `group ${value}`;

/** What the extension calls a line. */
export function referenceOf(line: Line): RowReference {
  return line.kind === 'group' ? { group: line.row.value } : { exit: line.row.order };
}

function recordLines(rows: readonly RecordRow[], parent?: string): readonly RecordLine[] {
  return rows.map((row, index) => ({
    kind: 'record',
    key: recordKey(row.order),
    row,
    parent,
    position: index + 1,
    siblings: rows.length,
  }));
}

/** `1,234`. */
export function number(value: number): string {
  return value.toLocaleString('en-US');
}
function count(value: number, one: string): string {
  return `${number(value)} ${one}${value === 1 ? '' : 's'}`;
}
