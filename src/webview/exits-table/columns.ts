import type { Sort, TableChoice } from './messages.ts';

/** A column of the table. */
export interface Column {
  readonly id: ColumnId;
  readonly title: string;
  /** What it says, for the pointer. */
  readonly about: string;
  /** Width in pixels, where the user has set no other. */
  readonly width: number;
  /** How much it takes of the room that is left. */
  readonly grows?: number;
  readonly isNumber?: boolean;
  /** How it is sorted at the first click; undefined for a column that gives no order. */
  readonly sorts?: 'ascending' | 'descending';
}

export type ColumnId =
  | 'group'
  | 'number'
  | 'partition'
  | 'vcpu'
  | 'reason'
  | 'request'
  | 'where'
  | 'handler'
  | 'to'
  | 'count'
  | 'share'
  | 'instructions';

const NUMBER: Column = {
  id: 'number',
  title: '#',
  about: 'Number of the exit in its partition',
  width: 64,
  isNumber: true,
  sorts: 'descending',
};
const PARTITION: Column = { id: 'partition', title: 'Partition', about: 'Partition', width: 96, sorts: 'ascending' };
const VCPU: Column = { id: 'vcpu', title: 'vCPU', about: 'vCPU of the partition', width: 58, isNumber: true, sorts: 'ascending' };
const REASON: Column = { id: 'reason', title: 'Reason', about: 'Why the guest was left', width: 98, sorts: 'ascending' };
const REQUEST: Column = {
  id: 'request',
  title: 'Request',
  about: 'What the guest asked for, and what came of it',
  width: 180,
  grows: 5,
  sorts: 'ascending',
};
const WHERE: Column = {
  id: 'where',
  title: 'Guest Code',
  about: 'The instruction that left: symbol and source line',
  width: 176,
  grows: 2,
  sorts: 'ascending',
};
const HANDLER: Column = {
  id: 'handler',
  title: 'Handler',
  about: 'Who took the exit',
  width: 136,
  grows: 2,
  sorts: 'ascending',
};
const TO: Column = { id: 'to', title: 'Served By', about: 'Who served it', width: 88, sorts: 'ascending' };
const INSTRUCTIONS: Column = {
  id: 'instructions',
  title: 'Instructions',
  about: 'Guest instructions of this vCPU since its exit before',
  width: 104,
  isNumber: true,
  sorts: 'ascending',
};
const GROUP: Column = {
  id: 'group',
  title: 'Group',
  about: 'Value of the field',
  width: 136,
  grows: 3,
  sorts: 'ascending',
};
const COUNT: Column = {
  id: 'count',
  title: 'Exits',
  about: 'How many exits',
  width: 68,
  isNumber: true,
  sorts: 'descending',
};
const SHARE: Column = { id: 'share', title: 'Share', about: 'How much of all', width: 112, sorts: 'descending' };
const MEAN: Column = { ...INSTRUCTIONS, about: 'Guest instructions since the exit before of the same vCPU: the mean of a group' };

/** No order by these in a table of groups: its rows have no such thing. */
const unsorted = ({ sorts: _, ...column }: Column): Column => column;

/** The columns of the table as it is chosen, in their order. */
export function columnsOf({ by }: Pick<TableChoice, 'by'>, severalPartitions: boolean): readonly Column[] {
  if (by === '')
    return [NUMBER, ...(severalPartitions ? [PARTITION] : []), VCPU, INSTRUCTIONS, REASON, REQUEST, WHERE, HANDLER, TO];
  const title = `${by.charAt(0).toUpperCase()}${by.slice(1)}`;
  return [{ ...GROUP, title }, COUNT, SHARE, MEAN, unsorted(REQUEST), unsorted(WHERE), unsorted(HANDLER), unsorted(TO)];
}

/** The order that the table has now. */
export function sortOf({ by, recordSort, groupSort }: TableChoice): Sort {
  return by === '' ? recordSort : groupSort;
}

/** The order after a click on a column: its own first, then the other way round. */
export function sortedBy(choice: TableChoice, column: Column): Partial<TableChoice> {
  const { column: now, descending } = sortOf(choice);
  const sort: Sort = { column: column.id, descending: now === column.id ? !descending : column.sorts === 'descending' };
  return choice.by === '' ? { recordSort: sort } : { groupSort: sort };
}

/** Narrowest width that a column can be given, in pixels. */
export const NARROWEST = 32;

/** The columns' widths for `grid-template-columns`, and the least that they need together, in pixels. */
export function columnWidths(columns: readonly Column[], widths: TableChoice['widths']): { template: string; least: number } {
  let least = 0;
  const sizes = columns.map(({ id, width, grows }) => {
    const own = widths[id];
    const size = own === undefined ? width : Math.max(NARROWEST, Math.round(own));
    least += size;
    return grows !== undefined && own === undefined ? `minmax(${size}px, ${grows}fr)` : `${size}px`;
  });
  return { template: sizes.join(' '), least };
}

export const USUAL_CHOICE: TableChoice = {
  by: '',
  filter: '',
  recordSort: { column: 'number', descending: true },
  groupSort: { column: 'count', descending: true },
  widths: {},
};
