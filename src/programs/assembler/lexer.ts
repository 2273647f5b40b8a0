import { AssemblyError } from './diagnostic.ts';
import { isFloat, specialName } from './floats.ts';

/** A token of one line. `column` counts from 1. */
export type Token =
  | { readonly kind: 'name'; readonly text: string; readonly column: number }
  | { readonly kind: 'number'; readonly value: bigint; readonly text: string; readonly column: number }
  | { readonly kind: 'float'; readonly text: string; readonly column: number }
  | { readonly kind: 'string'; readonly bytes: Uint8Array; readonly text: string; readonly column: number }
  | { readonly kind: 'operator'; readonly text: string; readonly column: number }
  /** `{k1}`, `{1to8}`, `{rn-sae}`, `{evex}`: the text without braces, lower case. */
  | { readonly kind: 'decorator'; readonly text: string; readonly column: number };

const NAME = /^[A-Za-z_?.@$][A-Za-z0-9_$#@~.?]*/;
const DECORATOR = /^\{\s*(k[0-7]|z|1to(?:2|4|8|16|32)|r[nduz]-sae|sae|vex[23]?|evex)\s*\}/i;
const OPERATORS = ['<=>', '<<<', '>>>', '<<', '>>', '//', '%%', '==', '!=', '<>', '<=', '>=', '&&', '||', '^^'];
const ESCAPES: Readonly<Record<string, number>> = {
  n: 10,
  t: 9,
  r: 13,
  a: 7,
  b: 8,
  v: 11,
  f: 12,
  e: 27,
  '0': 0,
  '\\': 92,
  "'": 39,
  '"': 34,
  '`': 96,
};

/** A number with all letters that hang on it; a sign belongs to it only in an exponent. */
const NUMBER =
  /^(?:0[xXhH][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?[pP][+-]?[0-9_]+|0[xXhH][0-9a-fA-F_]*\.[0-9a-fA-F_]*|[0-9][0-9_]*(?:\.[0-9_]*)?[eE][+-]?[0-9_]+(?![0-9A-Za-z_])|[0-9][0-9_]*\.[0-9_]*|\$?[0-9][0-9A-Za-z_]*)/;

/** Cuts a comment off, minding strings. */
export function stripComment(line: string): string {
  let quote = '';
  for (let index = 0; index < line.length; index++) {
    const character = line[index] ?? '';
    if (quote) {
      if (character === '\\' && quote === '`') index++;
      else if (character === quote) quote = '';
    } else if (character === "'" || character === '"' || character === '`') quote = character;
    else if (character === ';') return line.slice(0, index);
  }
  return line;
}

/** Reads a number as NASM writes it: 0x10, 10h, $10, 0b11, 11b, 0o7, 7q, 0d9, with underscores. */
export function parseNumber(text: string): bigint | undefined {
  const plain = text.replaceAll('_', '').toLowerCase();
  const forms: readonly (readonly [RegExp, string])[] = [
    [/^0[xh]([0-9a-f]+)$/, '0x'],
    [/^\$([0-9][0-9a-f]*)$/, '0x'],
    [/^([0-9][0-9a-f]*)[hx]$/, '0x'],
    [/^0[by]([01]+)$/, '0b'],
    [/^([01]+)[by]$/, '0b'],
    [/^0[oq]([0-7]+)$/, '0o'],
    [/^([0-7]+)[oq]$/, '0o'],
    [/^0?[dt]?([0-9]+)[dt]?$/, ''],
  ];
  for (const [form, prefix] of forms) {
    const digits = form.exec(plain)?.[1];
    if (digits !== undefined) return BigInt(prefix + digits);
  }
  return undefined;
}

function readString(text: string, start: number): { bytes: number[]; end: number } {
  const quote = text[start] ?? '';
  const bytes: number[] = [];
  let index = start + 1;
  const encoder = new TextEncoder();
  for (; index < text.length; index++) {
    const character = text[index] ?? '';
    if (character === quote) return { bytes, end: index + 1 };
    if (character === '\\' && quote === '`') {
      const next = text[++index] ?? '';
      const hexDigits = /^x([0-9a-fA-F]{1,2})/.exec(text.slice(index));
      const octal = /^[0-7]{1,3}/.exec(text.slice(index));
      if (hexDigits?.[1]) {
        bytes.push(Number.parseInt(hexDigits[1], 16));
        index += hexDigits[0].length - 1;
      } else if (octal) {
        bytes.push(Number.parseInt(octal[0], 8) & 0xff);
        index += octal[0].length - 1;
      } else if (ESCAPES[next] !== undefined) bytes.push(ESCAPES[next] ?? 0);
      else bytes.push(...encoder.encode(next));
    } else {
      // A code point beyond the first plane is two units of the string.
      const whole = String.fromCodePoint(text.codePointAt(index) ?? 0);
      bytes.push(...encoder.encode(whole));
      index += whole.length - 1;
    }
  }
  throw new AssemblyError('This string has no end.', `Close it with ${quote}.`, start + 1, text.length - start);
}

/** Cuts a line (without comment) into tokens. Throws AssemblyError at a bad character. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const space = /^\s+/.exec(rest);
    if (space) {
      at += space[0].length;
      continue;
    }
    const column = at + 1;
    const first = rest[0] ?? '';
    if (first === "'" || first === '"' || first === '`') {
      const { bytes, end } = readString(text, at);
      tokens.push({ kind: 'string', bytes: Uint8Array.from(bytes), text: text.slice(at, end), column });
      at = end;
      continue;
    }
    const decorator = first === '{' ? DECORATOR.exec(rest) : undefined;
    if (decorator?.[1] !== undefined) {
      tokens.push({ kind: 'decorator', text: decorator[1].toLowerCase(), column });
      at += decorator[0].length;
      continue;
    }
    const number = NUMBER.exec(rest);
    if (number) {
      tokens.push(numberToken(number[0], column));
      at += number[0].length;
      continue;
    }
    const name = NAME.exec(rest);
    if (name && !(first === '$' && !/^\$[A-Za-z_]/.test(rest))) {
      const text = first === '$' ? name[0].slice(1) : name[0];
      tokens.push({ kind: specialName(text) ? 'float' : 'name', text, column });
      at += name[0].length;
      continue;
    }
    const operator = rest.startsWith('$$') ? '$$' : (OPERATORS.find((candidate) => rest.startsWith(candidate)) ?? first);
    if (!'$$+-*/%&|^~!<>=()[]{},:?#'.includes(operator[0] ?? '\0'))
      throw new AssemblyError(`The character "${first}" means nothing here.`, undefined, column);
    tokens.push({ kind: 'operator', text: operator, column });
    at += operator.length;
  }
  return tokens;
}

function numberToken(text: string, column: number): Token {
  if (isFloat(text)) return { kind: 'float', text, column };
  const value = parseNumber(text);
  if (value === undefined)
    throw new AssemblyError(
      `"${text}" is not a number.`,
      'Hexadecimal is written 0x1F or 1Fh, binary 0b101.',
      column,
      text.length,
    );
  return { kind: 'number', value, text, column };
}
