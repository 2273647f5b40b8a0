import type { GroupRow, RecordRow, Sort } from './messages.ts';

type Value = string | number | undefined;

/** What rows are ordered by, by column. */
const RECORD_VALUES: Readonly<Record<string, (row: RecordRow) => Value>> = {
  number: ({ order }) => order,
  partition: ({ partition }) => partition,
  vcpu: ({ vcpu }) => vcpu,
  reason: ({ reason }) => reason,
  request: ({ request }) => request,
  where: ({ symbol, rip }) => symbol ?? rip,
  handler: ({ handler }) => handler,
  to: ({ to }) => to,
  instructions: ({ instructions }) => instructions,
};
const GROUP_VALUES: Readonly<Record<string, (row: GroupRow) => Value>> = {
  group: ({ label, value }) => label ?? value,
  count: ({ count }) => count,
  share: ({ share }) => share,
  instructions: ({ meanInstructions }) => meanInstructions,
};

/** Rows, the newest first, in the order of a column. Rows that are alike there stay the newest first; those without a value come last. */
export function sortedRecords(rows: readonly RecordRow[], { column, descending }: Sort): readonly RecordRow[] {
  if (column === 'number') return descending ? rows : [...rows].reverse();
  return sorted(rows, RECORD_VALUES[column], descending);
}

export function sortedGroups(rows: readonly GroupRow[], { column, descending }: Sort): readonly GroupRow[] {
  return sorted(rows, GROUP_VALUES[column], descending);
}

function sorted<Row>(rows: readonly Row[], of: ((row: Row) => Value) | undefined, descending: boolean): readonly Row[] {
  if (!of) return rows;
  const direction = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [of(a), of(b)];
    if (x === undefined || y === undefined) return (x === undefined ? 1 : 0) - (y === undefined ? 1 : 0);
    return direction * compareValues(x, y);
  });
}

/** Numbers by their size, as 0x80 before 0x3f8; other values by their letters, behind the numbers. */
export function compareValues(a: string | number, b: string | number): number {
  const [x, y] = [leadingNumber(a), leadingNumber(b)];
  if (x !== undefined && y !== undefined && x !== y) return x < y ? -1 : 1;
  if ((x === undefined) !== (y === undefined)) return x === undefined ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function leadingNumber(value: string | number): bigint | number | undefined {
  if (typeof value === 'number') return value;
  const digits = /^(?:0x[0-9a-f]+|\d+)(?=$|\s)/i.exec(value)?.[0];
  return digits === undefined ? undefined : BigInt(digits);
}
