import { MASK_64 } from '../../x86/address.ts';

/** An expression that can't be evaluated: one sentence. */
export class ExpressionError extends Error {}

/** What names in an expression mean. */
export interface ExpressionScope {
  /** Value of a register, flag, symbol or exit variable; undefined when there is none of that name. */
  lookUp(name: string): bigint | undefined;
  /** Reads guest memory at a virtual address. Throws ExpressionError. */
  read(address: bigint, bytes: number): bigint;
}

type Token = { readonly kind: 'number'; readonly value: bigint } | { readonly kind: 'name' | 'operator'; readonly text: string };

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
const WIDTHS: Readonly<Record<string, number>> = { byte: 1, word: 2, dword: 4, qword: 8 };

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let rest = text.trim();
  while (rest !== '') {
    const number = /^(0x[0-9a-fA-F_]+|0b[01_]+|\d[\d_]*|[0-9][0-9a-fA-F]*h\b)/.exec(rest);
    const name = /^[$%]?[A-Za-z_.?@][\w.$@?:]*/.exec(rest);
    if (number) {
      const digits = number[0].replaceAll('_', '');
      tokens.push({ kind: 'number', value: digits.endsWith('h') ? BigInt(`0x${digits.slice(0, -1)}`) : BigInt(digits) });
      rest = rest.slice(number[0].length);
    } else if (name) {
      tokens.push({ kind: 'name', text: name[0].replace(/^[$%]/, '') });
      rest = rest.slice(name[0].length);
    } else {
      const operator = OPERATORS.find((candidate) => rest.startsWith(candidate)) ?? rest[0] ?? '';
      if (!'+-*/%&|^~!<>=()[]?:'.includes(operator[0] ?? '\0'))
        throw new ExpressionError(`"${operator}" means nothing in an expression.`);
      tokens.push({ kind: 'operator', text: operator });
      rest = rest.slice(operator.length);
    }
    rest = rest.trimStart();
  }
  return tokens;
}

/**
 * Evaluates an expression over registers, flags, symbols and memory: `rax + 8`, `dword [rsp + 4]`, `port == 0x3f8 && write`.
 * Values are 64-bit and unsigned; comparisons give 1 or 0. Throws ExpressionError.
 */
export function evaluateExpression(text: string, scope: ExpressionScope): bigint {
  const tokens = tokenize(text);
  if (tokens.length === 0) throw new ExpressionError('The expression is empty.');
  let at = 0;

  const isOperator = (wanted: string): boolean => {
    const token = tokens[at];
    return token?.kind === 'operator' && token.text === wanted;
  };
  const expect = (wanted: string): void => {
    if (!isOperator(wanted)) throw new ExpressionError(`A "${wanted}" is missing.`);
    at++;
  };
  const wrap = (value: bigint): bigint => value & MASK_64;

  const memory = (bytes: number): bigint => {
    expect('[');
    const address = conditional();
    expect(']');
    return scope.read(address, bytes);
  };

  const primary = (): bigint => {
    const token = tokens[at];
    if (!token) throw new ExpressionError('The expression ends too early.');
    if (token.kind === 'number') {
      at++;
      return wrap(token.value);
    }
    if (token.kind === 'operator') {
      if (token.text === '[') return memory(8);
      at++;
      if (token.text === '(') {
        const value = conditional();
        expect(')');
        return value;
      }
      if (token.text === '-') return wrap(-primary());
      if (token.text === '+') return primary();
      if (token.text === '~') return wrap(~primary());
      if (token.text === '!') return primary() === 0n ? 1n : 0n;
      if (token.text === '*') return scope.read(primary(), 8);
      throw new ExpressionError(`"${token.text}" can't stand there.`);
    }
    at++;
    const width = WIDTHS[token.text.toLowerCase()];
    if (width !== undefined && isOperator('[')) return memory(width);
    const value = scope.lookUp(token.text);
    if (value === undefined) throw new ExpressionError(`"${token.text}" is not a register, a flag or a symbol of the program.`);
    return wrap(value);
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
    const condition = level(0);
    if (!isOperator('?')) return condition;
    at++;
    const yes = conditional();
    expect(':');
    const no = conditional();
    return condition !== 0n ? yes : no;
  };

  const value = conditional();
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
