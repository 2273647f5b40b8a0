import type { ShownExit, ShownGroup } from '../../adapter/requests/exits.ts';
import type { FacetName } from '../../hypervisor/journal/exit-facets.ts';

/** A row of the VM Exits view: the exits with one value of a facet, or one exit. */
export type ExitRow = GroupRow | RecordRow;

interface Row {
  /** The same from one answer to the next, so what is unfolded stays so. */
  readonly id: string;
  readonly name: string;
  /** What stands beside the name. */
  readonly description: string;
  readonly tooltip: string;
}

export interface GroupRow extends Row {
  readonly kind: 'group';
  readonly by: FacetName;
  readonly value: string;
}

export interface RecordRow extends Row {
  readonly kind: 'record';
  readonly record: ShownExit;
}

/** Orders of the groups, with what a list of them says. */
export const SORTS = {
  count: 'the most frequent first',
  instructions: 'those after the fewest guest instructions first',
  value: 'by the value',
} as const;
export type Sort = keyof typeof SORTS;

/** What the user wants to see. */
export interface ExitsChoice {
  readonly by: FacetName;
  readonly sort: Sort;
  /** A filter as the journal's files and the console have it; empty for all. */
  readonly filter: string;
}

const ORDERS: Readonly<Record<Sort, (a: ShownGroup, b: ShownGroup) => number>> = {
  count: (a, b) => b.count - a.count,
  instructions: (a, b) => (a.meanInstructions ?? Number.MAX_VALUE) - (b.meanInstructions ?? Number.MAX_VALUE),
  value: (a, b) => compareValues(a.value, b.value),
};

/** Numbers by their size, as 0x80 before 0x3f8; other values by their letters, behind the numbers. */
function compareValues(a: string, b: string): number {
  const [x, y] = [leadingNumber(a), leadingNumber(b)];
  if (x !== undefined && y !== undefined && x !== y) return x < y ? -1 : 1;
  if ((x === undefined) !== (y === undefined)) return x === undefined ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function leadingNumber(value: string): bigint | undefined {
  const digits = /^(?:0x[0-9a-f]+|\d+)(?=$|\s)/i.exec(value)?.[0];
  return digits === undefined ? undefined : BigInt(digits);
}

const count = (number: number) => number.toLocaleString('en-US');
const lines = (...parts: readonly (string | undefined)[]) => parts.filter((part) => part !== undefined).join('\n');

/** The rows of groups, in an order. */
export function groupRows(groups: readonly ShownGroup[], by: FacetName, sort: Sort): GroupRow[] {
  return [...groups].sort(ORDERS[sort]).map((group) => {
    const { value, label, meanInstructions, example } = group;
    const share = `${(group.share * 100).toFixed(1)}%`;
    const every = meanInstructions === null ? undefined : `after ${count(Math.round(meanInstructions))} instructions`;
    return {
      kind: 'group',
      id: `${by} ${value}`,
      by,
      value,
      name: label ?? value,
      description: [label === undefined ? undefined : value, count(group.count), share, every].filter(Boolean).join('  '),
      tooltip: lines(
        `${by} ${value}${label === undefined ? '' : ` (${label})`}`,
        `${count(group.count)} exits, ${share} of those that are counted`,
        every && `${every} of the guest on average, from the exit before`,
        `for example ${example}`,
      ),
    };
  });
}

/** The rows of records, the newest first. */
export function recordRows(records: readonly ShownExit[]): RecordRow[] {
  return records.map(recordRow).reverse();
}

function recordRow(record: ShownExit): RecordRow {
  const { seq, partition, partitionName, vcpu, icount, rip, symbol, reason, vmx, svm, qualification } = record;
  const { handler, request, result, to } = record;
  return {
    kind: 'record',
    id: `#${partition}.${seq}`,
    record,
    name: request,
    description: [`#${seq}`, result === undefined ? undefined : `→ ${result}`, symbol ?? rip, handler].filter(Boolean).join('  '),
    tooltip: lines(
      `#${seq}: ${request}${result === undefined ? '' : ` → ${result}`}`,
      `${partitionName}, vCPU ${vcpu}, after ${icount} instructions`,
      `RIP ${rip}${symbol === undefined ? '' : ` (${symbol})`}`,
      `${reason}: VMX reason ${vmx}, SVM code 0x${svm.toString(16)}, qualification ${qualification}`,
      handler && `taken by ${handler}${to === undefined ? '' : `, served by ${to}`}`,
    ),
  };
}

/** What stands in the view's title: how many exits, by what, and which. */
export function exitsTitle(
  { total, counted }: { readonly total: number; readonly counted: number },
  { by, filter }: ExitsChoice,
): string {
  const part = counted === total ? count(total) : `${count(counted)} of ${count(total)}`;
  return `${part} by ${by}${filter === '' ? '' : `: ${filter}`}`;
}
