import { hex } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { addressOf, type CommandAddress, type ConsoleCommand, type ConsoleSession, countOf } from './command.ts';
import { dumpRow, splitCount } from './memory.ts';

const USAGE = 'find "TEXT"|NUMBER [ADDRESS [BYTES]]';
const SHOWN = 20;
/** Bytes that one command looks through: a fraction of a second. */
const MOST = 256 * 1024 * 1024;
const CHUNK = 1024 * 1024;
const ROW = 16;

interface Range extends CommandAddress {
  readonly length: number;
}

/** What is looked for: text as UTF-8, or a number as its bytes lie in memory, in as many as its digits fill. */
function patternOf(text: string): { readonly pattern: Uint8Array; readonly rest: string } {
  const [, , quoted, digits, decimal, rest = ''] =
    /^(?:(["'])(.+?)\1|0x([0-9a-f]{1,16})|(\d{1,19}))(?:\s+(.*))?$/is.exec(text) ?? [];
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
      for (let at = indexOf(bytes, pattern, 0); at >= 0 && at < budget; at = indexOf(bytes, pattern, at + 1)) {
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

function indexOf(bytes: Uint8Array, pattern: Uint8Array, from: number): number {
  const [first = 0] = pattern;
  for (let at = bytes.indexOf(first, from); at >= 0 && at + pattern.length <= bytes.length; at = bytes.indexOf(first, at + 1))
    if (pattern.every((byte, index) => bytes[at + index] === byte)) return at;
  return -1;
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
