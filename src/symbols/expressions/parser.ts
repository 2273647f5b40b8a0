import { complain, type Token, tokenize } from './lexer.ts';

/** A type as it is written: `unsigned long`, `struct point *`, `int (*)(char)`. */
export interface WrittenType {
  readonly at: number;
  /** Words of a type of C itself, sorted out later; or the name of one that the program defines. */
  readonly base:
    | { readonly kind: 'words'; readonly words: readonly string[] }
    | { readonly kind: 'tag'; readonly keyword: 'struct' | 'union' | 'enum' | 'class'; readonly name: string }
    | { readonly kind: 'name'; readonly name: string };
  /** From the base outwards. */
  readonly declarators: readonly (
    | { readonly kind: '*' | '&' | 'function' }
    | { readonly kind: 'array'; readonly count: number }
  )[];
}

export type Expression =
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
  | { readonly kind: 'name' | 'register'; readonly at: number; readonly text: string }
  | { readonly kind: 'unary'; readonly at: number; readonly operator: string; readonly operand: Expression }
  | {
      readonly kind: 'binary';
      readonly at: number;
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: 'choice';
      readonly at: number;
      readonly condition: Expression;
      readonly yes: Expression;
      readonly no: Expression;
    }
  | {
      readonly kind: 'member';
      readonly at: number;
      readonly object: Expression;
      readonly name: string;
      readonly isArrow: boolean;
    }
  | { readonly kind: 'index'; readonly at: number; readonly object: Expression; readonly index: Expression }
  | { readonly kind: 'cast'; readonly at: number; readonly type: WrittenType; readonly operand: Expression }
  | { readonly kind: 'size-of-type'; readonly at: number; readonly type: WrittenType }
  | { readonly kind: 'size-of'; readonly at: number; readonly operand: Expression };

const MAX_DEPTH = 100;
const WORDS = new Set([
  'void',
  'char',
  'short',
  'int',
  'long',
  'float',
  'double',
  'signed',
  'unsigned',
  '_Bool',
  'bool',
  '__int128',
]);
const TAGS = ['struct', 'union', 'enum', 'class'] as const;
const QUALIFIERS = new Set(['const', 'volatile', 'restrict']);
const PRECEDENCE: Readonly<Record<string, number>> = {
  '||': 1,
  '&&': 2,
  '|': 3,
  '^': 4,
  '&': 5,
  '==': 6,
  '!=': 6,
  '<': 7,
  '>': 7,
  '<=': 7,
  '>=': 7,
  '<<': 8,
  '>>': 8,
  '@': 9,
  '+': 10,
  '-': 10,
  '*': 11,
  '/': 11,
  '%': 11,
};

/** Parses a C expression. `isType` says whether a name is a type's and nothing else's. Throws EvaluationError. */
export function parseExpression(text: string, isType: (name: string) => boolean): Expression {
  return new Parser(tokenize(text), isType).whole();
}

class Parser {
  private position = 0;
  private depth = 0;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly isType: (name: string) => boolean,
  ) {}

  private get token(): Token {
    return this.tokens[this.position] ?? { kind: 'end', at: 0 };
  }

  private peekOperator(text: string, ahead = 0): boolean {
    const token = this.tokens[this.position + ahead];
    return token?.kind === 'operator' && token.text === text;
  }

  private takeOperator(text: string): boolean {
    const found = this.peekOperator(text);
    if (found) this.position++;
    return found;
  }

  private expectOperator(text: string): void {
    if (!this.takeOperator(text)) throw complain(`"${text}" is missing`, this.token.at);
  }

  private nested<T>(parse: () => T): T {
    if (++this.depth > MAX_DEPTH) throw complain('The expression is nested too deeply', this.token.at);
    const result = parse();
    this.depth--;
    return result;
  }

  whole(): Expression {
    const first = this.token;
    if (first.kind === 'end') throw complain('An expression is missing', first.at);
    const expression = this.choice();
    const token = this.tokens[this.position] ?? first;
    if (token.kind === 'operator' && token.text === '=')
      throw complain('A value is assigned through "Set Value", not in an expression; to compare, use "=="', token.at);
    if (token.kind !== 'end') throw complain(`"${describe(token)}" is not expected`, token.at);
    return expression;
  }

  private choice(): Expression {
    return this.nested(() => {
      const { at } = this.token;
      const condition = this.binary(1);
      if (!this.takeOperator('?')) return condition;
      const yes = this.choice();
      this.expectOperator(':');
      return { kind: 'choice', at, condition, yes, no: this.choice() };
    });
  }

  private binary(lowest: number): Expression {
    let left = this.unary();
    for (;;) {
      const { token } = this;
      const precedence = token.kind === 'operator' ? PRECEDENCE[token.text] : undefined;
      if (token.kind !== 'operator' || precedence === undefined || precedence < lowest) return left;
      this.position++;
      const right = this.nested(() => this.binary(precedence + 1));
      left = { kind: 'binary', at: token.at, operator: token.text, left, right };
    }
  }

  private unary(): Expression {
    return this.nested(() => {
      const { token } = this;
      if (token.kind === 'operator' && ['-', '+', '!', '~', '*', '&'].includes(token.text)) {
        this.position++;
        return { kind: 'unary', at: token.at, operator: token.text, operand: this.unary() };
      }
      if (token.kind === 'operator' && token.text === '&&') throw complain('"&&" needs something on its left', token.at);
      if (token.kind === 'name' && token.text === 'sizeof') {
        this.position++;
        if (this.peekOperator('(') && this.startsType(1)) {
          this.position++;
          const type = this.type();
          this.expectOperator(')');
          return { kind: 'size-of-type', at: token.at, type };
        }
        return { kind: 'size-of', at: token.at, operand: this.unary() };
      }
      if (this.peekOperator('(') && this.startsType(1)) {
        this.position++;
        const type = this.type();
        this.expectOperator(')');
        return { kind: 'cast', at: token.at, type, operand: this.unary() };
      }
      return this.postfix();
    });
  }

  private postfix(): Expression {
    let object = this.primary();
    for (;;) {
      const { at } = this.token;
      if (this.takeOperator('[')) {
        const index = this.choice();
        this.expectOperator(']');
        object = { kind: 'index', at, object, index };
      } else if (this.peekOperator('.') || this.peekOperator('->')) {
        const isArrow = this.takeOperator('->');
        if (!isArrow) this.position++;
        const name = this.token;
        // `.0` of a Rust tuple is its member `__0`.
        if (name.kind !== 'name' && name.kind !== 'integer') throw complain('The name of a member is missing', name.at);
        this.position++;
        object = { kind: 'member', at: name.at, object, name: name.kind === 'name' ? name.text : `__${name.value}`, isArrow };
      } else if (this.peekOperator('(')) throw complain('A function of the guest is not called from an expression', at);
      else return object;
    }
  }

  private primary(): Expression {
    const { token } = this;
    this.position++;
    switch (token.kind) {
      case 'integer':
      case 'float':
      case 'character':
      case 'string':
      case 'register':
        return token;
      case 'name':
        return token;
      case 'operator':
        if (token.text === '(') {
          const inner = this.choice();
          this.expectOperator(')');
          return inner;
        }
        if (token.text === '::' && this.token.kind === 'name') return this.primary();
        throw complain(`"${token.text}" is not expected`, token.at);
      case 'end':
        this.position--;
        throw complain('The expression ends too early', token.at);
    }
  }

  private startsType(ahead: number): boolean {
    const token = this.tokens[this.position + ahead];
    if (token?.kind !== 'name') return false;
    const { text } = token;
    if (WORDS.has(text) || QUALIFIERS.has(text) || TAGS.some((tag) => tag === text)) return true;
    if (!this.isType(text)) return false;
    const next = this.tokens[this.position + ahead + 1];
    return next?.kind === 'operator' && (next.text === ')' || next.text === '*' || next.text === '&' || next.text === '[');
  }

  private type(): WrittenType {
    const { at } = this.token;
    const words: string[] = [];
    let base: WrittenType['base'] | undefined;
    for (;;) {
      const { token } = this;
      if (token.kind !== 'name') break;
      const tag = TAGS.find((candidate) => candidate === token.text);
      if (QUALIFIERS.has(token.text)) this.position++;
      else if (WORDS.has(token.text) && !base) {
        words.push(token.text);
        this.position++;
      } else if (tag && !base && words.length === 0) {
        this.position++;
        const name = this.token;
        if (name.kind !== 'name') throw complain(`The name of the ${tag} is missing`, name.at);
        this.position++;
        base = { kind: 'tag', keyword: tag, name: name.text };
      } else if (!base && words.length === 0) {
        base = { kind: 'name', name: token.text };
        this.position++;
      } else break;
    }
    if (!base && words.length === 0) throw complain('A type is missing', this.token.at);
    return { at, base: base ?? { kind: 'words', words }, declarators: this.declarators() };
  }

  private declarators(): WrittenType['declarators'] {
    const found: WrittenType['declarators'][number][] = [];
    for (;;) {
      if (this.takeOperator('*')) found.push({ kind: '*' });
      else if (this.takeOperator('&')) found.push({ kind: '&' });
      else if (this.token.kind === 'name' && QUALIFIERS.has(this.token.text)) this.position++;
      else break;
      if (found.length > 32) throw complain('The type has too many stars', this.token.at);
    }
    let inner: WrittenType['declarators'] = [];
    if (this.peekOperator('(') && this.peekOperator('*', 1)) {
      this.position++;
      inner = this.nested(() => this.declarators());
      this.expectOperator(')');
    }
    const suffixes: WrittenType['declarators'][number][] = [];
    for (;;) {
      if (this.takeOperator('[')) {
        const count = this.token;
        if (count.kind !== 'integer' || count.value > 0x1000_0000n)
          throw complain('The length of the array is missing', count.at);
        this.position++;
        this.expectOperator(']');
        suffixes.unshift({ kind: 'array', count: Number(count.value) });
      } else if (inner.length > 0 && this.takeOperator('(')) {
        this.skipParameters();
        suffixes.unshift({ kind: 'function' });
      } else break;
    }
    return [...found, ...suffixes, ...inner];
  }

  /** Parameter types change nothing about how a function pointer is shown or compared. */
  private skipParameters(): void {
    for (let open = 1; open > 0; this.position++) {
      const { token } = this;
      if (token.kind === 'end') throw complain('")" is missing', token.at);
      if (this.peekOperator('(')) open++;
      else if (this.peekOperator(')')) open--;
    }
  }
}

function describe(token: Token): string {
  switch (token.kind) {
    case 'integer':
    case 'float':
      return token.value.toString();
    case 'character':
      return `'${String.fromCharCode(token.value)}'`;
    case 'string':
      return 'a string';
    case 'register':
      return `$${token.text}`;
    case 'end':
      return 'the end';
    default:
      return token.text;
  }
}
