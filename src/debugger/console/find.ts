import { hex } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { dumpRow } from '../inspection/dump-row.ts';
import { addressOf, type CommandAddress, type ConsoleCommand, type ConsoleSession, countOf } from './command.ts';
import { splitCount } from './memory.ts';

const USAGE = 'find "TEXT"|NUMBER [ADDRESS [BYTES]]';
const SHOWN = 20;
/** Bytes that one command looks through: a fraction of a second. */
const MOST = 256 * 1024 * 1024;
const CHUNK = 1024 * 1024;
const ROW = 16;
/** Characters of a text. */
const LONGEST = 1024;

interface Range extends CommandAddress {
  readonly length: number;
}

/** What is looked for: text as UTF-8, or a number as its bytes lie in memory, in as many as its digits fill. */
function patternOf(text: string): { readonly pattern: Uint8Array; readonly rest: string } {
  const [, , quoted, digits, decimal, rest = ''] =
    /^(?:(["'])(.+?)\1|0x([0-9a-f]{1,16})|(\d{1,19}))(?:\s+(.*))?$/is.exec(text) ?? [];
  if (quoted !== undefined && quoted.length > LONGEST)
    throw new ExpressionError(`A text to look for can have ${LONGEST} characters at most.`);
  if (quoted !== undefined) return { pattern: new TextEncoder().encode(quoted), rest };
  const number = digits === undefined ? decimal : `0x${digits}`;
  if (number === undefined) throw new ExpressionError(`What to look for is missing; the command is ${USAGE}.`);
  const value = BigInt(number);
  const size = [1, 2, 4].find((bytes) => value < 1n << BigInt(bytes * 8) && (digits?.length ?? 0) <= bytes * 2) ?? 8;
  return { pattern: Uint8Array.from({ length: size }, (_, index) => Number((value >> BigInt(index * 8)) & 0xffn)), rest };
}

/** All RAM, or what the user names: from an address to the end of what can be read there. */
function rangesOf(session: ConsoleSession, rest: string): Range[] {
  if (rest === '') return session.partition.memory.regions.map(({ gpa, length }) => ({ space: 'gpa', address: gpa, length }));
  const [expression, count] = splitCount(rest);
  return [{ ...addressOf(session, expression, USAGE), length: count === undefined ? MOST : countOf(count, USAGE) }];
}

function find(session: ConsoleSession, text: string): string {
  const { pattern, rest } = patternOf(text);
  const { processor } = session.vcpu();
  const rows: string[] = [];
  let searched = 0;
  for (const { space, address, length } of rangesOf(session, rest)) {
    for (let from = 0; from < length; from += CHUNK) {
      const start = address + BigInt(from);
      const budget = Math.min(CHUNK, length - from, MOST - searched);
      // What begins in this chunk may end in the next one.
      const bytes = processor.readMemory(space, start, Math.min(budget + pattern.length - 1, length - from));
      for (const at of placesOf(pattern, bytes)) {
        const place = { space, address: BigInt.asUintN(64, start + BigInt(at)) };
        if (rows.length === SHOWN) return [...rows, goOn(text, rest, place)].join('\n');
        rows.push(dumpRow(place, processor.readMemory(space, place.address, ROW)));
      }
      searched += budget;
      if (searched >= MOST) return [...rows, goOn(text, rest, { space, address: start + BigInt(budget) })].join('\n');
      if (bytes.length < budget) break;
    }
  }
  return rows.length > 0 ? rows.join('\n') : 'Not found.';
}

function goOn(text: string, rest: string, { space, address }: CommandAddress): string {
  const pattern = text.slice(0, text.length - rest.length).trim();
  return `To go on: find ${pattern} ${space === 'gpa' ? 'gpa:' : ''}${hex(address)}`;
}

/** Where a pattern begins in some bytes, each byte looked at once whatever they are (Knuth, Morris and Pratt). */
function* placesOf(pattern: Uint8Array, bytes: Uint8Array): Generator<number> {
  const [first = 0] = pattern;
  const fallback = fallbacksOf(pattern);
  let matched = 0;
  for (let at = 0; at < bytes.length; at++) {
    if (matched === 0) at = bytes.indexOf(first, at);
    if (at < 0) return;
    while (matched > 0 && bytes[at] !== pattern[matched]) matched = fallback[matched - 1] ?? 0;
    if (bytes[at] === pattern[matched]) matched++;
    if (matched === pattern.length) {
      yield at + 1 - matched;
      matched = fallback[matched - 1] ?? 0;
    }
  }
}

/** For each length of a match: how long the match is that its end begins. */
function fallbacksOf(pattern: Uint8Array): number[] {
  const fallback = [0];
  for (let length = 0, at = 1; at < pattern.length; at++) {
    while (length > 0 && pattern[at] !== pattern[length]) length = fallback[length - 1] ?? 0;
    if (pattern[at] === pattern[length]) length++;
    fallback[at] = length;
  }
  return fallback;
}

export const findCommands: readonly ConsoleCommand[] = [
  {
    name: 'find',
    usage: USAGE,
    summary: 'places in memory that hold a text or a number',
    details: [
      `Looks through all RAM, or from ADDRESS on (gpa:ADDRESS for a physical one), and shows ${SHOWN} places at once.`,
      'A number has as many bytes as its digits fill: 0x00000001 has four.',
      'For example: find "Linux version", find 0xdeadbeef rsp 4096',
    ],
    run: find,
  },
];
