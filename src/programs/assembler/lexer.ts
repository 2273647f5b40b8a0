import { AssemblyError } from './diagnostic.ts';
import { floatBytes, isFloat, specialName } from './floats.ts';

/** A token of one line. `column` counts from 1. */
export type Token =
  | {
      readonly kind: 'name';
      readonly text: string;
      readonly column: number;
      /** Written with `$` in front: a symbol, though a register may have that name. */
      readonly escaped?: boolean;
    }
  | { readonly kind: 'number'; readonly value: bigint; readonly text: string; readonly column: number }
  | { readonly kind: 'float'; readonly text: string; readonly column: number }
  | { readonly kind: 'string'; readonly bytes: Uint8Array; readonly text: string; readonly column: number }
  | { readonly kind: 'operator'; readonly text: string; readonly column: number }
  /** `{k1}`, `{1to8}`, `{rn-sae}`, `{evex}`: the text without braces, lower case. */
  | { readonly kind: 'decorator'; readonly text: string; readonly column: number };

const NAME = /^[A-Za-z_?.@$][A-Za-z0-9_$#@~.?]*/;
const DECORATOR = /^\{\s*(k[0-7]|z|1to(?:2|4|8|16|32)|r[nduz]-sae|sae|vex[23]?|evex)\s*\}/i;
const OPERATORS = ['<<<', '>>>', '<<', '>>', '//', '%%', '==', '!=', '<>', '<=', '>=', '&&', '||', '^^'];
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
      const unicode = /^u([0-9a-fA-F]{4})|^U([0-9a-fA-F]{8})/.exec(text.slice(index));
      const hexDigits = /^x([0-9a-fA-F]{1,2})/.exec(text.slice(index));
      const octal = /^[0-7]{1,3}/.exec(text.slice(index));
      if (unicode) {
        const point = Number.parseInt(unicode[1] ?? unicode[2] ?? '0', 16);
        bytes.push(...encoder.encode(point <= 0x10ffff ? String.fromCodePoint(point) : '?'));
        index += unicode[0].length - 1;
      } else if (hexDigits?.[1]) {
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
    if (name && name[0] !== '?' && !(first === '$' && !/^\$[A-Za-z_]/.test(rest))) {
      const text = first === '$' ? name[0].slice(1) : name[0];
      if (specialName(text)) tokens.push({ kind: 'float', text, column });
      else tokens.push(first === '$' ? { kind: 'name', text, column, escaped: true } : { kind: 'name', text, column });
      at += name[0].length;
      continue;
    }
    const operator = rest.startsWith('$$') ? '$$' : (OPERATORS.find((candidate) => rest.startsWith(candidate)) ?? first);
    if (!'$+-*/%&|^~!<>=()[]{},:?#'.includes(operator[0] ?? '\0'))
      throw new AssemblyError(`The character "${first}" means nothing here.`, undefined, column);
    tokens.push({ kind: 'operator', text: operator, column });
    at += operator.length;
  }
  return tokens.some(({ kind, text }) => kind === 'name' && CONVERSION.test(text)) ? foldConversions(tokens) : tokens;
}

const CONVERSION = /^__\??(utf16|utf16le|utf16be|utf32|utf32le|utf32be|float8|float16|float32|float64)\??__$/i;

/** `__utf16__('text')` becomes a string, `__float32__(1.5)` a number. */
function foldConversions(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (!token) break;
    const conversion = token.kind === 'name' ? CONVERSION.exec(token.text)?.[1]?.toLowerCase() : undefined;
    const sign = tokens[at + 2];
    const negative = sign?.kind === 'operator' && sign.text === '-';
    const value = tokens[at + (negative ? 3 : 2)];
    if (conversion === undefined || value === undefined) result.push(token);
    else {
      const { column } = token;
      if (conversion.startsWith('utf') && value.kind === 'string')
        result.push({ kind: 'string', bytes: convertText(value.bytes, conversion), text: value.text, column });
      else if (conversion.startsWith('float') && (value.kind === 'float' || value.kind === 'number')) {
        const bytes = floatBytes(value.text, negative, Number(conversion.slice(5)) / 8);
        const number = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
        result.push({ kind: 'number', value: number, text: value.text, column });
      } else throw new AssemblyError(`${token.text} takes a constant in parentheses.`, undefined, column, token.text.length);
      at += negative ? 4 : 3;
    }
  }
  return result;
}

/** UTF-8 bytes as UTF-16 or UTF-32. */
function convertText(bytes: Uint8Array, form: string): Uint8Array {
  const text = new TextDecoder().decode(bytes);
  const width = form.includes('16') ? 2 : 4;
  const values =
    width === 2 ? text.split('').map((unit) => unit.charCodeAt(0)) : [...text].map((point) => point.codePointAt(0) ?? 0);
  const view = new DataView(new ArrayBuffer(values.length * width));
  values.forEach((value, index) => {
    if (width === 2) view.setUint16(index * 2, value, !form.endsWith('be'));
    else view.setUint32(index * 4, value, !form.endsWith('be'));
  });
  return new Uint8Array(view.buffer);
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
