import type { Assembly } from './assembly.ts';
import { AssemblyError } from './diagnostic.ts';
import type { Value } from './expression.ts';
import { floatBytes } from './floats.ts';
import type { Token } from './lexer.ts';

const SIZES: Readonly<Record<string, number>> = { b: 1, w: 2, d: 4, q: 8, t: 10, o: 16, y: 32, z: 64 };
/** Lists in lists: deeper ones would only exhaust the stack. */
const MAX_NESTING = 50;

/** DB … DO and RESB … RESO; false for another word. */
export function emitData(assembly: Assembly, operands: readonly Token[], word: string): boolean {
  const [, kind, letter = ''] = /^(d|res)([bwdqtoyz])$/.exec(word) ?? [];
  const size = SIZES[letter];
  if (kind === undefined || size === undefined) return false;
  if (kind === 'd') dataList(assembly, operands, size, 0);
  else assembly.reserve(assembly.constant(operands, 'The count') * size);
  return true;
}

function dataList(assembly: Assembly, tokens: readonly Token[], size: number, depth: number): void {
  if (depth > MAX_NESTING) throw new AssemblyError('DUP is nested too deep.', undefined, tokens[0]?.column);
  for (const item of splitAtCommas(tokens)) {
    const dup = item.findIndex((token) => token.kind === 'name' && token.text.toLowerCase() === 'dup');
    if (dup > 0) repeatedData(assembly, item.slice(0, dup), item.slice(dup + 1), size, depth);
    else dataItem(assembly, item, size);
  }
}

/** `3 dup (1, 2)`. */
function repeatedData(assembly: Assembly, count: readonly Token[], items: readonly Token[], size: number, depth: number): void {
  const [open] = items;
  const inner = open?.kind === 'operator' && open.text === '(' ? items.slice(1, -1) : items;
  if (inner.length === 0) throw new AssemblyError('DUP needs something to repeat.', 'For example: db 4 dup (0)', open?.column);
  const times = assembly.constant(count, 'The count of DUP');
  for (let index = 0; index < times; index++) {
    assembly.spend();
    dataList(assembly, inner, size, depth + 1);
  }
}

function dataItem(assembly: Assembly, item: readonly Token[], size: number): void {
  const [first, second] = item;
  const only = item.length === 1 ? first : undefined;
  const signed = first?.kind === 'operator' && (first.text === '-' || first.text === '+') && item.length === 2;
  const float = signed && second?.kind === 'float' ? second : only?.kind === 'float' ? only : undefined;
  if (only?.kind === 'string') {
    const padded = new Uint8Array(Math.ceil(only.bytes.length / size) * size);
    padded.set(only.bytes);
    assembly.emit(padded);
  } else if (float) assembly.emit(floatBytes(float.text, signed && first.text === '-', size));
  else if (only?.kind === 'operator' && only.text === '?') assembly.reserve(size);
  else {
    const value = assembly.expression(item);
    const limit = 1n << BigInt(size * 8);
    if (value.section === undefined && !value.unknown && (value.number >= limit || value.number < -limit / 2n))
      assembly.warn(
        `${value.number} doesn't fit into ${size} byte${size === 1 ? '' : 's'}; what is above is cut off.`,
        first?.column,
      );
    assembly.emit(integerBytes(value, size));
  }
}

function integerBytes({ number }: Value, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const low = BigInt.asUintN(64, number);
  for (let index = 0; index < size; index++)
    bytes[index] = index < 8 ? Number((low >> BigInt(index * 8)) & 0xffn) : number < 0n ? 0xff : 0;
  return bytes;
}

/** Cuts at commas outside of parentheses. */
export function splitAtCommas(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (token.kind === 'operator') depth += token.text === '(' ? 1 : token.text === ')' ? -1 : 0;
    if (token.kind === 'operator' && token.text === ',' && depth === 0) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  // NASM allows a comma after the last item.
  if (parts.length > 1 && parts.at(-1)?.length === 0) parts.pop();
  return parts;
}
