import { AssemblyError } from './diagnostic.ts';
import type { Token } from './lexer.ts';
import { findRegister, type RegisterInfo } from './registers.ts';

/** A value: a plain number, or an address that moves with a section. */
export interface Value {
  readonly number: bigint;
  /** Name of the section whose start is part of it. */
  readonly section?: string;
  /** Not known yet in this pass. */
  readonly unknown?: boolean;
  /** Registers of an address with their factors, in the order in which they were written. */
  readonly registers?: readonly RegisterTerm[];
}

export interface RegisterTerm {
  readonly register: RegisterInfo;
  readonly factor: number;
  /** Written with a factor, so that it prefers to be the index. */
  readonly scaled: boolean;
}

export interface Scope {
  /** Looks a symbol up by its full name. */
  symbol(name: string, column: number): Value;
  /** `$` and `$$`. */
  here(): Value;
  sectionStart(): Value;
}

/** Deeper nesting would only exhaust the stack. */
const MAX_NESTING = 200;
const MASK = 0xffff_ffff_ffff_ffffn;
const signed = (value: bigint): bigint => BigInt.asIntN(64, value);

/** Binary operators, weakest first (NASM manual, 3.5). */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['^^'],
  ['&&'],
  ['=', '==', '!=', '<>', '<', '<=', '>', '>='],
  ['|'],
  ['^'],
  ['&'],
  ['<<', '<<<', '>>', '>>>'],
  ['+', '-'],
  ['*', '/', '//', '%', '%%'],
];

/** Reads tokens as an expression; stops at what can't belong to it. */
export class ExpressionParser {
  constructor(
    private readonly tokens: readonly Token[],
    public at: number,
    private readonly scope: Scope,
    /** Inside of an address: names of registers are terms. */
    private readonly inAddress = false,
  ) {}
  private depth = 0;

  private peek(): Token | undefined {
    return this.tokens[this.at];
  }
  private isOperator(text: string): boolean {
    const token = this.peek();
    return token?.kind === 'operator' && token.text === text;
  }

  parse(): Value {
    const condition = this.level(0);
    const next = this.peek();
    if (next?.kind === 'name' && next.text.toLowerCase() === 'wrt')
      throw new AssemblyError('WRT needs a linker, and there is none here.', 'Leave "wrt …" out.', next.column, 3);
    if (!this.isOperator('?')) return condition;
    this.at++;
    const yes = this.parse();
    if (!this.isOperator(':')) throw new AssemblyError('A "?" needs a ":" after it.', undefined, this.peek()?.column);
    this.at++;
    const no = this.parse();
    return condition.number !== 0n ? yes : no;
  }

  private level(index: number): Value {
    const operators = LEVELS[index];
    if (!operators) return this.unary();
    let left = this.level(index + 1);
    for (;;) {
      const token = this.peek();
      if (token?.kind !== 'operator' || !operators.includes(token.text)) return left;
      this.at++;
      left = combine(token.text, left, this.level(index + 1), token.column);
    }
  }

  private unary(): Value {
    if (++this.depth > MAX_NESTING)
      throw new AssemblyError('This expression is nested too deep.', undefined, this.peek()?.column);
    const value = this.operand();
    this.depth--;
    return value;
  }

  private operand(): Value {
    const token = this.peek();
    if (!token) throw new AssemblyError('An expression is missing here.', undefined, this.tokens.at(-1)?.column);
    if (token.kind === 'operator') {
      if ('+-~!'.includes(token.text)) {
        this.at++;
        const value = this.unary();
        if (token.text === '+') return value;
        if (token.text === '-' && value.registers) return combine('-', { number: 0n }, value, token.column);
        if (value.section !== undefined)
          throw new AssemblyError(`"${token.text}" can't be applied to an address.`, undefined, token.column);
        const number = token.text === '-' ? -value.number : token.text === '~' ? ~value.number : value.number === 0n ? 1n : 0n;
        return { number: signed(number), unknown: value.unknown };
      }
      if (token.text === '(') {
        this.at++;
        const value = this.parse();
        if (!this.isOperator(')')) throw new AssemblyError('A ")" is missing.', undefined, this.peek()?.column ?? token.column);
        this.at++;
        return value;
      }
      if (token.text === '$' || token.text === '$$') {
        this.at++;
        return token.text === '$' ? this.scope.here() : this.scope.sectionStart();
      }
      throw new AssemblyError(`"${token.text}" can't begin an expression.`, undefined, token.column);
    }
    this.at++;
    if (token.kind === 'number') return { number: signed(token.value) };
    if (token.kind === 'name') return this.named(token);
    if (token.kind === 'string') {
      if (token.bytes.length > 8)
        throw new AssemblyError(
          'A string in an expression has at most eight characters.',
          undefined,
          token.column,
          token.text.length,
        );
      return { number: signed(token.bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)) };
    }
    throw new AssemblyError(
      'A floating-point number stands only alone, in dd, dq or dt.',
      undefined,
      token.column,
      token.text.length,
    );
  }

  private named(token: Token & { readonly kind: 'name' }): Value {
    const register = token.escaped ? undefined : findRegister(token.text);
    if (!register) return this.scope.symbol(token.text, token.column);
    if (this.inAddress) return { number: 0n, registers: [{ register, factor: 1, scaled: false }] };
    throw new AssemblyError(
      `The register ${token.text} can't be part of this expression.`,
      'Registers are added up only in an address, in brackets.',
      token.column,
      token.text.length,
    );
  }
}

function combine(operator: string, a: Value, b: Value, column: number): Value {
  const unknown = a.unknown || b.unknown || undefined;
  if (a.registers || b.registers) return combineRegisters(operator, a, b, column);
  if (operator === '+') {
    if (a.section !== undefined && b.section !== undefined)
      throw new AssemblyError("Two addresses can't be added.", undefined, column);
    return { number: signed(a.number + b.number), section: a.section ?? b.section, unknown };
  }
  if (operator === '-') {
    if (b.section !== undefined && a.section !== b.section && !unknown)
      throw new AssemblyError("Addresses of different sections can't be subtracted.", undefined, column);
    return { number: signed(a.number - b.number), section: b.section !== undefined ? undefined : a.section, unknown };
  }
  const comparison = compare(operator, a.number, b.number);
  if (comparison !== undefined) return { number: comparison ? 1n : 0n, unknown };
  if ((a.section !== undefined || b.section !== undefined) && !unknown)
    throw new AssemblyError(
      `"${operator}" can't be applied to an address.`,
      'Subtract two addresses first, for example ($-$$).',
      column,
    );
  return { number: signed(arithmetic(operator, a.number, b.number, column, unknown ?? false)), unknown };
}

/** Sums of registers and their products with numbers. */
function combineRegisters(operator: string, a: Value, b: Value, column: number): Value {
  const plain = (value: Value): Value => ({ ...value, registers: undefined });
  if (operator === '+' || operator === '-') {
    const sign = operator === '+' ? 1 : -1;
    const terms = [...(a.registers ?? [])];
    for (const { register, factor, scaled } of b.registers ?? []) {
      const at = terms.findIndex((term) => term.register === register);
      const sum = (terms[at]?.factor ?? 0) + sign * factor;
      if (at < 0) terms.push({ register, factor: sum, scaled });
      else if (sum === 0) terms.splice(at, 1);
      else terms[at] = { register, factor: sum, scaled: false };
    }
    return { ...combine(operator, plain(a), plain(b), column), registers: terms };
  }
  const [sum, number] = a.registers ? [a, b] : [b, a];
  if (operator !== '*' || number.registers || number.section !== undefined)
    throw new AssemblyError(
      `"${operator}" can't be applied to a register.`,
      'In an address registers are added up, each with a factor of 1, 2, 4 or 8.',
      column,
    );
  const factor = Number(BigInt.asIntN(32, number.number));
  const terms = (sum.registers ?? []).map((term) => ({ ...term, factor: term.factor * factor, scaled: true }));
  return { ...combine('*', plain(sum), number, column), registers: terms };
}

function compare(operator: string, a: bigint, b: bigint): boolean | undefined {
  switch (operator) {
    case '=':
    case '==':
      return a === b;
    case '!=':
    case '<>':
      return a !== b;
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    case '>=':
      return a >= b;
    case '&&':
      return a !== 0n && b !== 0n;
    case '||':
      return a !== 0n || b !== 0n;
    case '^^':
      return (a !== 0n) !== (b !== 0n);
    default:
      return undefined;
  }
}

function arithmetic(operator: string, a: bigint, b: bigint, column: number, unknown: boolean): bigint {
  const ua = a & MASK;
  const ub = b & MASK;
  switch (operator) {
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '&':
      return a & b;
    case '<<':
    case '<<<':
      return ub > 63n ? 0n : a << ub;
    case '>>':
      return ub > 63n ? 0n : ua >> ub;
    case '>>>':
      return a >> (ub > 63n ? 63n : ub);
    case '*':
      return a * b;
    default:
      if (b === 0n) {
        if (unknown) return 0n;
        throw new AssemblyError('This divides by zero.', undefined, column);
      }
      if (operator === '/') return ua / ub;
      if (operator === '%') return ua % ub;
      return operator === '//' ? a / b : a % b;
  }
}
