import { FACET_NAMES, type FacetName } from '../../hypervisor/journal/exit-facets.ts';
import { type ExitFilter, ExitFilterError, parseExitFilter } from '../../hypervisor/journal/exit-filter.ts';
import type { ExitRecord } from '../../hypervisor/journal/exit-journal.ts';
import { exitTable } from '../../hypervisor/journal/exit-tables.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { type ConsoleCommand, type ConsoleSession, columns, countOf } from './command.ts';

const USAGE = 'exits [N] [by FIELD] [where FILTER]';
const SHOWN = 10;
const MOST = 1000;
const ROWS = 20;

function row({ seq, rip, reason, request, result, handler }: ExitRecord, digits: number): string[] {
  return [`#${String(seq).padStart(digits)}`, rip, reason, request, result === undefined ? '' : `→ ${result}`, handler ?? ''];
}

/** Throws ExpressionError. */
function filterOf(text: string | undefined): ExitFilter | undefined {
  try {
    return text === undefined ? undefined : parseExitFilter(text);
  } catch (error) {
    throw error instanceof ExitFilterError ? new ExpressionError(error.message) : error;
  }
}

function exits(session: ConsoleSession, rest: string): string {
  const { journal } = session.partition;
  const [, count = '', by, where] = /^(.*?)(?:\s*\bby\s+(\S+))?(?:\s*\bwhere\s+(.*))?$/s.exec(rest) ?? [];
  const number = count.trim() === '' ? undefined : Math.min(countOf(count.trim(), USAGE), MOST);
  const facet = FACET_NAMES.find((name) => name === by);
  if (by !== undefined && facet === undefined)
    throw new ExpressionError(`Exits have no "${by}" to be counted by; they have ${FACET_NAMES.join(', ')}.`);
  const filter = filterOf(where);
  if (journal.total === 0) return 'No VM exit yet.';
  return facet === undefined ? list(session, number ?? SHOWN, filter) : table(session, facet, number ?? ROWS, filter);
}

function list({ partition: { journal } }: ConsoleSession, count: number, filter: ExitFilter | undefined): string {
  const digits = String(journal.total).length;
  const latest = journal.latest(count, filter);
  const rows = columns(latest.map((record) => row(record, digits)));
  if (filter) return latest.length === 0 ? 'No exit that is kept in memory is one of these.' : rows.join('\n');
  const counts = [...journal.countByReason]
    .sort((a, b) => b[1] - a[1])
    .map(([reason, number]) => `${String(number).padStart(digits)}  ${reason}`);
  return [...counts, `${journal.total}  in all; the last ${latest.length}:`, ...rows].join('\n');
}

function table({ partition: { journal } }: ConsoleSession, facet: FacetName, rows: number, filter?: ExitFilter): string {
  const statistics = filter ? journal.statisticsOf(filter) : journal.statistics;
  if (statistics.by(facet).length === 0) return `No exit so far has a ${facet}.`;
  const isPart = !filter && statistics.total < journal.total;
  const note = isPart
    ? `\nOf the last ${statistics.total} exits of ${journal.total}: the others came before they were counted.`
    : '';
  return `${exitTable(statistics, facet, rows).trimEnd()}${note}`;
}

export const exitCommands: readonly ConsoleCommand[] = [
  {
    name: 'exits',
    usage: USAGE,
    summary: 'VM exits so far by reason, and the last N (10); or a table by a field',
    details: [
      'Columns: number, RIP, reason, what the guest asked for, what came of it, who served it.',
      `Fields: ${FACET_NAMES.join(', ')}. Their tables say how often, how much of all, and after how many instructions of the guest on`,
      'average; the spread shows how many came after 0, 1, 2–3, 4–7 … instructions.',
      'For example: exits 50, exits by port, exits by rip where reason=io, exits where port=0x3f8 !to=device',
    ],
    whileRunning: true,
    run: exits,
  },
];
