import { EvaluationError } from '../symbol-source.ts';

export type Token =
  | {
      readonly kind: 'integer';
      readonly at: number;
      readonly value: bigint;
      readonly suffix: string;
      readonly isDecimal: boolean;
    }
  | { readonly kind: 'float'; readonly at: number; readonly value: number; readonly isSingle: boolean }
  | { readonly kind: 'character'; readonly at: number; readonly value: number }
  | { readonly kind: 'string'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'name'; readonly at: number; readonly text: string }
  | { readonly kind: 'register'; readonly at: number; readonly text: string }
  | { readonly kind: 'operator'; readonly at: number; readonly text: string }
  | { readonly kind: 'end'; readonly at: number };

const MAX_LENGTH = 10_000;
const OPERATORS = ['<<', '>>', '<=', '>=', '==', '!=', '&&', '||', '->', '::', ...'+-*/%&|^~!<>=?:.,()[]@'];
const ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, e: 27, f: 12, n: 10, r: 13, t: 9, v: 11 };

/** One sentence with the place, counted from 1. */
export function complain(problem: string, at: number): EvaluationError {
  return new EvaluationError(`${problem} (column ${at + 1}).`);
}

/** Splits a C expression into tokens. Throws EvaluationError. */
export function tokenize(text: string): Token[] {
  if (text.length > MAX_LENGTH) throw new EvaluationError(`The expression is longer than ${MAX_LENGTH} characters.`);
  const tokens: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  while (at < text.length) {
    const space = match(/\s+/y);
    if (space) {
      at += space[0].length;
      continue;
    }
    const start = at;
    const float = match(/(\d+\.\d*|\.\d+|\d+(?=[eE][+-]?\d))([eE][+-]?\d+)?([fFlL]?)/y);
    const integer = float ? null : match(/(0[xX][\da-fA-F]+|0[bB][01]+|\d+)([uUlL]*)/y);
    if (float) {
      tokens.push({
        kind: 'float',
        at,
        value: Number.parseFloat(float[0]),
        isSingle: (float[3] ?? '').toLowerCase() === 'f',
      });
      at += float[0].length;
    } else if (integer) {
      at += integer[0].length;
      const after = text[at];
      if (after !== undefined && /[\w.]/.test(after)) throw complain(`"${integer[0]}${after}" is not a number`, start);
      const digits = integer[1] ?? '0';
      const isOctal = /^0\d+$/.test(digits);
      if (isOctal && /[89]/.test(digits)) throw complain(`"${digits}" is not an octal number`, start);
      const value = BigInt(isOctal ? `0o${digits.slice(1)}` : digits);
      if (value >= 1n << 128n) throw complain(`"${digits}" is too large for a number`, start);
      tokens.push({
        kind: 'integer',
        at: start,
        value,
        suffix: (integer[2] ?? '').toLowerCase(),
        isDecimal: /^[1-9]/.test(digits),
      });
    } else if (text[at] === '"' || text[at] === "'") {
      const { bytes, next } = readQuoted(text, at);
      if (text[at] === '"') tokens.push({ kind: 'string', at, bytes });
      else if (bytes.length === 1) tokens.push({ kind: 'character', at, value: bytes[0] ?? 0 });
      else throw complain('A character constant holds one character', at);
      at = next;
    } else {
      const name = match(/([A-Za-z_]\w*(::~?[A-Za-z_]\w*)*)/y);
      const register = match(/\$\w+/y);
      const operator = OPERATORS.find((candidate) => text.startsWith(candidate, at));
      if (name) tokens.push({ kind: 'name', at, text: name[0] });
      else if (register) tokens.push({ kind: 'register', at, text: register[0].slice(1) });
      else if (operator !== undefined) tokens.push({ kind: 'operator', at, text: operator });
      else throw complain(`"${text[at]}" means nothing in a C expression`, at);
      at += name?.[0].length ?? register?.[0].length ?? operator?.length ?? 1;
    }
  }
  tokens.push({ kind: 'end', at: text.length });
  return tokens;
}

function readQuoted(text: string, start: number): { bytes: Uint8Array; next: number } {
  const quote = text[start];
  const bytes: number[] = [];
  let at = start + 1;
  for (;;) {
    const character = text[at];
    if (character === undefined) throw complain(`The ${quote === '"' ? 'string' : 'character constant'} has no end`, start);
    at++;
    if (character === quote) return { bytes: Uint8Array.from(bytes), next: at };
    if (character !== '\\') {
      bytes.push(...new TextEncoder().encode(character));
      continue;
    }
    const rest = text.slice(at, at + 4);
    const octal = /^[0-7]{1,3}/.exec(rest)?.[0];
    const hexadecimal = /^x([\da-fA-F]{1,2})/.exec(rest)?.[1];
    if (octal !== undefined) {
      bytes.push(Number.parseInt(octal, 8) & 0xff);
      at += octal.length;
    } else if (hexadecimal !== undefined) {
      bytes.push(Number.parseInt(hexadecimal, 16));
      at += 1 + hexadecimal.length;
    } else {
      const letter = text[at] ?? '';
      bytes.push(ESCAPES[letter] ?? letter.charCodeAt(0));
      at++;
    }
  }
}
