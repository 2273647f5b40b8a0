import type { ExitRecord } from '../hypervisor/journal/exit-journal.ts';
import { nodeFiles } from './node-files.ts';
import { parse } from './options.ts';
import { UsageError } from './usage.ts';

const COLUMNS = ['reason', 'rip', 'handler', 'partition'] as const;
type Column = (typeof COLUMNS)[number];

/** `hyperscope exits FILE`: prints tables, returns the exit status. */
export function exitsCommand(args: readonly string[]): number {
  const { values, positionals } = parse(args, { by: { type: 'string' }, top: { type: 'string', default: '20' } }, 'exits');
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0)
    throw new UsageError('exits takes the path of one journal, written by `run --exits FILE`.');
  const by = COLUMNS.find((column) => column === values.by);
  if (values.by !== undefined && by === undefined) throw new UsageError(`--by takes ${COLUMNS.join(', ')}, not "${values.by}".`);
  const top = Number(values.top);
  if (!Number.isInteger(top) || top < 1) throw new UsageError(`--top takes a whole number above 0, not "${values.top}".`);
  const records = readJournal(new TextDecoder().decode(nodeFiles.read(file)), file);
  process.stdout.write(summarize(records, by === undefined ? COLUMNS : [by], top));
  return 0;
}

/** Reads a journal. Throws UsageError that names the line that isn't a record. */
export function readJournal(text: string, file: string): ExitRecord[] {
  const records: ExitRecord[] = [];
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '') return;
    const record = parseRecord(line);
    if (record === undefined)
      throw new UsageError(`${file}:${index + 1} is not a record of an exit journal; write one with \`run --exits FILE\`.`);
    records.push(record);
  });
  return records;
}

function parseRecord(line: string): ExitRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null) return undefined;
    return 'reason' in value && typeof value.reason === 'string' && 'rip' in value ? (value as ExitRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** One table per column: how often each value, how much of all, and one request as an example. */
export function summarize(records: readonly ExitRecord[], columns: readonly Column[], top: number): string {
  if (records.length === 0) return 'The journal is empty: the guest had no VM exits.\n';
  return columns.map((column) => table(records, column, top)).join('\n');
}

function table(records: readonly ExitRecord[], column: Column, top: number): string {
  const groups = new Map<string, { count: number; example: string }>();
  for (const record of records) {
    const key = String(record[column] ?? '-');
    const group = groups.get(key);
    if (group) group.count++;
    else groups.set(key, { count: 1, example: record.request ?? '' });
  }
  const sorted = [...groups].sort((a, b) => b[1].count - a[1].count || (a[0] < b[0] ? -1 : 1));
  const width = Math.max(column.length, ...sorted.slice(0, top).map(([key]) => key.length));
  const lines = [`${column.padEnd(width)}  ${'exits'.padStart(9)}  ${'share'.padStart(6)}  for example`];
  for (const [key, { count, example }] of sorted.slice(0, top)) {
    const share = `${((count / records.length) * 100).toFixed(1)}%`;
    lines.push(`${key.padEnd(width)}  ${String(count).padStart(9)}  ${share.padStart(6)}  ${example}`);
  }
  if (sorted.length > top) lines.push(`… ${sorted.length - top} more`);
  lines.push(`${'all'.padEnd(width)}  ${String(records.length).padStart(9)}`);
  return `${lines.join('\n')}\n`;
}
