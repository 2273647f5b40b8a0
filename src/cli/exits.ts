import { closeSync, openSync, readSync } from 'node:fs';
import { FACET_NAMES, FACETS, type FacetName } from '../hypervisor/journal/exit-facets.ts';
import type { ExitRecord } from '../hypervisor/journal/exit-journal.ts';
import { ExitStatistics } from '../hypervisor/journal/exit-statistics.ts';
import { exitTable, exitTableData } from '../hypervisor/journal/exit-tables.ts';
import { loadProgram } from '../programs/load-program.ts';
import { openSymbols } from '../symbols/open-symbols.ts';
import { fileProblem, nodeFiles } from './node-files.ts';
import { exitFilter, parse } from './options.ts';
import { UsageError } from './usage.ts';

const PIECE = 1 << 16;
/** Characters of the longest line that is looked at. A record has some hundreds; a file without line ends is no journal. */
const LONGEST_LINE = 1 << 20;

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
  for (const record of journalRecords(piecesOf(file), file, (problem) => process.stderr.write(`hyperscope: ${problem}\n`)))
    statistics.add(record);
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

/**
 * The records of a journal, given in pieces. Lines that are none are passed over, and said at the end in one sentence. Throws
 * UsageError when there is nothing else.
 */
export function* journalRecords(
  pieces: Iterable<string>,
  file: string,
  onProblem: (sentence: string) => void,
): Generator<ExitRecord> {
  let rest = '';
  let line = 0;
  let found = 0;
  let broken = 0;
  let firstBroken = 0;
  function* take(text: string): Generator<ExitRecord> {
    line++;
    if (text.trim() === '') return;
    const record = text.length <= LONGEST_LINE ? parseRecord(text) : undefined;
    if (record) {
      found++;
      yield record;
    } else if (++broken === 1) firstBroken = line;
  }
  for (const piece of pieces) {
    // What is too long already is broken, however it goes on.
    const from = rest.length > LONGEST_LINE ? piece.indexOf('\n') : 0;
    if (from < 0) continue;
    const lines = (rest + piece.slice(from)).split('\n');
    rest = lines.pop() ?? '';
    for (const text of lines) yield* take(text);
  }
  yield* take(rest);
  if (broken === 0) return;
  const sentence = `${file}:${firstBroken} is not a record of an exit journal; write one with \`run --exits FILE\`.`;
  if (found === 0) throw new UsageError(sentence);
  onProblem(broken === 1 ? `${sentence} It was left out.` : `${sentence} It and ${broken - 1} other lines were left out.`);
}

function parseRecord(line: string): ExitRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a value has what the tables go by, in the form that the journal has it. */
function isRecord(value: unknown): value is ExitRecord {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Partial<Record<string, unknown>>;
  const { reason, rip, icount, qualification, partition, vcpu, request } = fields;
  const isHex = (text: unknown) => typeof text === 'string' && /^0x[0-9a-f]+$/.test(text);
  if (typeof reason !== 'string' || typeof request !== 'string' || !isHex(rip) || !isHex(qualification)) return false;
  // A handler that said nothing of itself has none of these.
  if (![fields.handler, fields.result, fields.to].every((text) => text === undefined || typeof text === 'string')) return false;
  return typeof icount === 'string' && /^\d+$/.test(icount) && Number.isInteger(partition) && Number.isInteger(vcpu);
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
