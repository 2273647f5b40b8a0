import { closeSync, openSync, readSync } from 'node:fs';
import { FACET_NAMES, FACETS, type FacetName } from '../hypervisor/journal/exit-facets.ts';
import { ExitStatistics } from '../hypervisor/journal/exit-statistics.ts';
import { exitTable, exitTableData } from '../hypervisor/journal/exit-tables.ts';
import { JournalError, journalRecords } from '../hypervisor/journal/read-journal.ts';
import { loadProgram } from '../programs/load-program.ts';
import { openSymbols } from '../symbols/open-symbols.ts';
import { fileProblem, nodeFiles } from './node-files.ts';
import { exitFilter, parse } from './options.ts';
import { UsageError } from './usage.ts';

const PIECE = 1 << 16;

/** `hyperscope exits FILE`: prints tables, returns the exit status. */
export function exitsCommand(args: readonly string[]): number {
  const { values, positionals } = parse(
    args,
    {
      by: { type: 'string' },
      top: { type: 'string', default: '20' },
      filter: { type: 'string' },
      program: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
    'exits',
  );
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0)
    throw new UsageError('exits takes the path of one journal, written by `run --exits FILE`.');
  const by = FACET_NAMES.find((name) => name === values.by);
  if (values.by !== undefined && by === undefined)
    throw new UsageError(`--by takes ${FACET_NAMES.join(', ')}, not "${values.by}".`);
  const top = Number(values.top);
  if (!Number.isInteger(top) || top < 1) throw new UsageError(`--top takes a whole number above 0, not "${values.top}".`);
  const filter = exitFilter(values.filter, 'filter');
  const nameOf = values.program === undefined ? undefined : symbolNames(values.program);

  const statistics = new ExitStatistics(by === undefined ? FACETS : FACETS.filter(({ name }) => name === by), filter);
  try {
    const onProblem = (problem: string) => process.stderr.write(`hyperscope: ${problem}\n`);
    for (const record of journalRecords(piecesOf(file), file, onProblem)) statistics.add(record);
  } catch (error) {
    throw error instanceof JournalError ? new UsageError(error.message) : error;
  }
  const names = by === undefined ? FACET_NAMES : [by];
  if (values.json) {
    const tables = Object.fromEntries(names.map((name) => [name, exitTableData(statistics, name)]));
    process.stdout.write(`${JSON.stringify({ exits: statistics.total, ...tables }, undefined, 2)}\n`);
  } else process.stdout.write(summarize(statistics, names, top, nameOf));
  return 0;
}

/** RIPs with the functions and lines of a program, as far as it has them. */
function symbolNames(path: string): (rip: string) => string {
  const symbols = openSymbols(loadProgram(nodeFiles.read(path), path, {}, nodeFiles));
  return (rip) => {
    const address = BigInt(rip);
    const name = symbols.describe(address);
    const position = symbols.lineAt(address)?.position;
    const line = position && `${position.path.split(/[\\/]/).at(-1)}:${position.line}`;
    return [rip, name, line].filter((part) => part !== undefined).join('  ');
  };
}

/** The pieces of a file, as text. Throws UsageError. */
function* piecesOf(file: string): Generator<string> {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    throw new UsageError(`${file} can't be read: ${fileProblem(error)}.`);
  }
  try {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(PIECE);
    for (;;) {
      const length = readSync(descriptor, buffer);
      if (length === 0) return;
      yield decoder.decode(buffer.subarray(0, length), { stream: true });
    }
  } catch (error) {
    throw new UsageError(`${file} can't be read: ${fileProblem(error)}.`);
  } finally {
    closeSync(descriptor);
  }
}

/** One table per facet; of several, those that are not empty. `nameOf` adds what is known of a RIP. */
export function summarize(
  statistics: ExitStatistics,
  names: readonly FacetName[],
  top: number,
  nameOf?: (rip: string) => string,
): string {
  if (statistics.total === 0) return 'The journal is empty: the guest had no VM exits, or none that the filter lets through.\n';
  const shown = names.length === 1 ? names : names.filter((name) => statistics.by(name).length > 0);
  return shown.map((name) => exitTable(statistics, name, top, name === 'rip' ? nameOf : undefined)).join('\n');
}
