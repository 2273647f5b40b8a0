import type { ExitRecord } from '../../hypervisor/journal/exit-journal.ts';
import { type ConsoleCommand, type ConsoleSession, columns, countOf } from './command.ts';

const USAGE = 'exits [N]';
const SHOWN = 10;
const MOST = 1000;

function row({ seq, rip, reason, request, result, handler }: ExitRecord, digits: number): string[] {
  return [`#${String(seq).padStart(digits)}`, rip, reason, request, result === undefined ? '' : `→ ${result}`, handler ?? ''];
}

function exits(session: ConsoleSession, rest: string): string {
  const { journal } = session.partition;
  const count = rest === '' ? SHOWN : Math.min(countOf(rest, USAGE), MOST);
  if (journal.total === 0) return 'No VM exit yet.';
  const digits = String(journal.total).length;
  const counts = [...journal.countByReason]
    .sort((a, b) => b[1] - a[1])
    .map(([reason, number]) => `${String(number).padStart(digits)}  ${reason}`);
  const latest = journal.latest(count);
  return [
    ...counts,
    `${journal.total}  in all; the last ${latest.length}:`,
    ...columns(latest.map((record) => row(record, digits))),
  ].join('\n');
}

export const exitCommands: readonly ConsoleCommand[] = [
  {
    name: 'exits',
    usage: USAGE,
    summary: 'VM exits so far by reason, and the last N (10)',
    details: ['Columns: number, RIP, reason, what the guest asked for, what came of it, who served it.', 'For example: exits 50'],
    whileRunning: true,
    run: exits,
  },
];
