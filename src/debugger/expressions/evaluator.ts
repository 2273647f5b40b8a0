import { MASK_64 } from '../../x86/address.ts';

/** An expression that can't be evaluated: one sentence. */
export class ExpressionError extends Error {}

export type AddressSpace = 'gva' | 'gpa';

/** What names in an expression mean. */
export interface ExpressionScope {
  /** Value of a register, flag, symbol or exit variable; undefined when there is none of that name. */
  lookUp(name: string): bigint | undefined;
  /** Address of a symbol; undefined when there is none of that name. */
  symbolAddress?(name: string): bigint | undefined;
  /** Reads memory at a linear or a physical address. Throws ExpressionError. */
  read(address: bigint, bytes: number, space: AddressSpace): bigint;
  /**
   * Base to add to an address in brackets: of the segment that is named, else of the one that the processor takes for
   * these registers (outside of 64-bit code). Throws ExpressionError for a segment that isn't one.
   */
  segmentBase(segment: string | undefined, registers: readonly string[]): bigint;
  /** Bytes of an operand without a size. */
  readonly wordSize: number;
}

/** A value of an expression; text is packed into a number, so that `reason == 'io'` compares. */
export function packText(text: string): bigint {
  return [...text].reduce((packed, character) => (packed << 21n) | BigInt(character.codePointAt(0) ?? 0), 1n);
}

type Token =
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'name' | 'operator'; readonly text: string };

const OPERATORS = ['<<', '>>', '<=', '>=', '==', '!=', '&&', '||', '->'];
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '<=', '>', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];
const PREFIXES: ReadonlySet<string> = new Set(['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'gva', 'gpa']);
const WIDTHS: Readonly<Record<string, number>> = { byte: 1, word: 2, dword: 4, qword: 8 };

/** Longest expression, and how deep it may nest: hostile input doesn't exhaust the stack. */
const LONGEST = 4096;
const DEEPEST = 100;
const NUMBER = /^(?:0[xX]_*[0-9a-fA-F][0-9a-fA-F_]*|0[bB]_*[01][01_]*|[0-9][0-9a-fA-F_]*[hH]|[0-9][0-9_]*)(?![\w])/;
/** Names of the guest's languages: labels, local labels, `core::fmt`; and `msr:0xc0000080`. */
const NAME = /^(?:msr:\w+|[$%]?[A-Za-z_.@](?:[\w.$@]|::)*)/i;
const TEXT = /^'[^']*'|^"[^"]*"/;

function parseNumber(text: string): bigint {
  const digits = text.replaceAll('_', '');
  if (/^0[xXbB]/.test(digits)) return BigInt(digits.toLowerCase());
  return /[hH]$/.test(digits) ? BigInt(`0x${digits.slice(0, -1)}`) : BigInt(digits);
}

function tokenize(text: string): Token[] {
  if (text.length > LONGEST) throw new ExpressionError(`An expression can have ${LONGEST} characters at most.`);
  const tokens: Token[] = [];
  let rest = text.trim();
  while (rest !== '') {
    const number = NUMBER.exec(rest)?.[0];
    const name = NAME.exec(rest)?.[0];
    const quoted = TEXT.exec(rest)?.[0];
    let length: number;
    if (number !== undefined) {
      tokens.push({ kind: 'number', value: parseNumber(number) });
      length = number.length;
    } else if (name !== undefined) {
      tokens.push({ kind: 'name', text: name.replace(/^[$%]/, '') });
      length = name.length;
    } else if (quoted !== undefined) {
      tokens.push({ kind: 'text', text: quoted.slice(1, -1) });
      length = quoted.length;
    } else {
      const operator = OPERATORS.find((candidate) => rest.startsWith(candidate)) ?? rest[0] ?? '';
      if (/\d/.test(operator)) throw new ExpressionError(`"${/^\w+/.exec(rest)?.[0]}" is no number.`);
      if (!'+-*/%&|^~!<>=()[]?:'.includes(operator[0] ?? '\0'))
        throw new ExpressionError(`"${operator}" means nothing in an expression.`);
      tokens.push({ kind: 'operator', text: operator });
      length = operator.length;
    }
    rest = rest.slice(length).trimStart();
  }
  return tokens;
}

/**
 * Evaluates an expression over registers, flags, symbols and memory: `rax + 8`, `dword [rsp + 4]`, `fs:[0x28]`,
 * `byte gpa:[0x1000]`, `port == 0x3f8 && write`. Values are 64-bit and unsigned; comparisons give 1 or 0. Throws
 * ExpressionError.
 */
export function evaluateExpression(text: string, scope: ExpressionScope): bigint {
  const tokens = tokenize(text);
  if (tokens.length === 0) throw new ExpressionError('The expression is empty.');
  let at = 0;
  let depth = 0;
  /** Names met inside the brackets that are open. */
  let inBrackets: string[] | undefined;

  const isOperator = (wanted: string, ahead = 0): boolean => {
    const token = tokens[at + ahead];
    return token?.kind === 'operator' && token.text === wanted;
  };
  /** The segment or address space that stands here as a prefix, `fs:`. */
  const prefixHere = (): string | undefined => {
    const token = tokens[at];
    const name = token?.kind === 'name' && isOperator(':', 1) ? token.text.toLowerCase() : undefined;
    return name !== undefined && PREFIXES.has(name) ? name : undefined;
  };
  const expect = (wanted: string): void => {
    if (!isOperator(wanted)) throw new ExpressionError(`A "${wanted}" is missing.`);
    at++;
  };
  const wrap = (value: bigint): bigint => value & MASK_64;

  /** `[…]`, `fs:[…]`, `[fs:…]` or `gpa:[…]`, of which the size is known. */
  const memory = (bytes: number): bigint => {
    let prefix = prefixHere();
    if (prefix !== undefined) at += 2;
    expect('[');
    if (prefix === undefined) {
      prefix = prefixHere();
      if (prefix !== undefined) at += 2;
    }
    const outer = inBrackets;
    inBrackets = [];
    const offset = conditional();
    const registers = inBrackets;
    inBrackets = outer;
    expect(']');
    if (prefix === 'gpa') return scope.read(offset, bytes, 'gpa');
    const base = prefix === 'gva' ? 0n : scope.segmentBase(prefix, registers);
    return scope.read(wrap(offset + base), bytes, 'gva');
  };
  const isMemory = (): boolean => isOperator('[') || (prefixHere() !== undefined && isOperator('[', 2));

  const primary = (): bigint => {
    if (++depth > DEEPEST) throw new ExpressionError('The expression nests too deeply.');
    const value = simple();
    depth--;
    return value;
  };

  /** `&name`: a symbol is its address anyway; nothing else that has a name lies in memory. */
  const addressOfName = (): bigint => {
    const token = tokens[at++];
    const address = token?.kind === 'name' ? scope.symbolAddress?.(token.text) : undefined;
    if (address === undefined) throw new ExpressionError('"&" needs the name of a symbol behind it.');
    return address;
  };

  const simple = (): bigint => {
    const token = tokens[at];
    if (!token) throw new ExpressionError('The expression ends too early.');
    if (isMemory()) return memory(scope.wordSize);
    at++;
    if (token.kind === 'number') return wrap(token.value);
    if (token.kind === 'text') return packText(token.text);
    if (token.kind === 'operator') {
      if (token.text === '(') {
        const value = conditional();
        expect(')');
        return value;
      }
      if (token.text === '-') return wrap(-primary());
      if (token.text === '+') return primary();
      if (token.text === '~') return wrap(~primary());
      if (token.text === '!') return primary() === 0n ? 1n : 0n;
      if (token.text === '&') return addressOfName();
      if (token.text === '*') return scope.read(primary(), scope.wordSize, 'gva');
      throw new ExpressionError(`"${token.text}" can't stand there.`);
    }
    const width = WIDTHS[token.text.toLowerCase()];
    if (width !== undefined && isMemory()) return memory(width);
    inBrackets?.push(token.text.toLowerCase());
    const value = scope.lookUp(token.text);
    if (value === undefined) throw new ExpressionError(`"${token.text}" is not a register, a flag or a symbol of the program.`);
    return value;
  };

  const level = (index: number): bigint => {
    const operators = LEVELS[index];
    if (!operators) return primary();
    let left = level(index + 1);
    for (;;) {
      const token = tokens[at];
      if (token?.kind !== 'operator' || !operators.includes(token.text)) return left;
      at++;
      left = wrap(apply(token.text, left, level(index + 1)));
    }
  };

  const conditional = (): bigint => {
    if (++depth > DEEPEST) throw new ExpressionError('The expression nests too deeply.');
    let value = level(0);
    if (isOperator('?')) {
      at++;
      const yes = conditional();
      expect(':');
      const no = conditional();
      value = value !== 0n ? yes : no;
    }
    depth--;
    return value;
  };

  const value = wrap(conditional());
  if (at < tokens.length) throw new ExpressionError('Something is left over after the expression.');
  return value;
}

function apply(operator: string, a: bigint, b: bigint): bigint {
  const bool = (condition: boolean) => (condition ? 1n : 0n);
  switch (operator) {
    case '||':
      return bool(a !== 0n || b !== 0n);
    case '&&':
      return bool(a !== 0n && b !== 0n);
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '&':
      return a & b;
    case '==':
      return bool(a === b);
    case '!=':
      return bool(a !== b);
    case '<':
      return bool(a < b);
    case '<=':
      return bool(a <= b);
    case '>':
      return bool(a > b);
    case '>=':
      return bool(a >= b);
    case '<<':
      return b > 63n ? 0n : a << b;
    case '>>':
      return b > 63n ? 0n : a >> b;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    default:
      if (b === 0n) throw new ExpressionError('The expression divides by zero.');
      return operator === '/' ? a / b : a % b;
  }
}
