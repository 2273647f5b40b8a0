import { hex } from '../../x86/address.ts';
import { ExpressionError } from '../expressions/evaluator.ts';
import { type ConsoleCommand, type ConsoleSession, columns } from './command.ts';

const USAGE = 'symbols TEXT|/REGULAR EXPRESSION/';
const SHOWN = 50;

function symbols({ symbols: known }: ConsoleSession, rest: string): string {
  if (rest === '') throw new ExpressionError(`What names have in them is missing; the command is ${USAGE}.`);
  const isExpression = /^\/.+\/$/.test(rest);
  const pattern = isExpression ? rest : `/${rest.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&')}/`;
  const functions = known.functionsNamed(pattern).map(({ name, low, high }) => ({ name, address: low, size: high - low }));
  const names = new Set(functions.map(({ name }) => name));
  const exact = isExpression ? [] : [rest, ...(known.namesWith?.(rest, SHOWN) ?? [])];
  const data = [...new Set(exact)].flatMap((name) => {
    const found = names.has(name) ? undefined : known.symbol(name);
    return found ? [{ name, address: found.address, size: BigInt(found.size) }] : [];
  });
  const all = [...functions, ...data].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  if (all.length === 0) return `No function has ${rest} in its name, and no data begins with it.`;
  const rows = all.slice(0, SHOWN).map(({ name, address, size }) => [hex(address), hex(size), name]);
  const more = all.length > SHOWN ? [`${all.length - SHOWN} more; write more of the name.`] : [];
  return [...columns(rows), ...more].join('\n');
}

export const symbolCommands: readonly ConsoleCommand[] = [
  {
    name: 'symbols',
    usage: USAGE,
    summary: 'functions with a text in their names, and data that begin with it',
    details: ['Columns: address, bytes, name.', 'For example: symbols virtblk, symbols /^vfs_.*read/'],
    run: symbols,
  },
];
