import type { ExitRecord } from './exit-journal.ts';

/** A file that is no exit journal. One sentence that says what is wrong, where, and how to mend it. */
export class JournalError extends Error {}

/** Characters of the longest line that is looked at. A record has some hundreds; a file without line ends is no journal. */
const LONGEST_LINE = 1 << 20;

/**
 * The records of a journal, given in pieces. Lines that are none are passed over, and said at the end in one sentence. Throws
 * JournalError when there is nothing else.
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
  if (found === 0) throw new JournalError(sentence);
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
  // Numbers of 64 bits: whoever counts by them must come to an end.
  const isHex = (text: unknown) => typeof text === 'string' && /^0x[0-9a-f]{1,16}$/.test(text);
  if (typeof reason !== 'string' || typeof request !== 'string' || !isHex(rip) || !isHex(qualification)) return false;
  // A handler that said nothing of itself has none of these.
  if (![fields.handler, fields.result, fields.to].every((text) => text === undefined || typeof text === 'string')) return false;
  return typeof icount === 'string' && /^\d{1,20}$/.test(icount) && Number.isInteger(partition) && Number.isInteger(vcpu);
}
