import { Register } from 'iced-x86';
import { AssemblyError } from './diagnostic.ts';
import { ExpressionParser, type Scope, type Value } from './expression.ts';
import type { Token } from './lexer.ts';

export type RegisterClass = 'r8' | 'r16' | 'r32' | 'r64' | 'seg' | 'cr' | 'dr' | 'tr' | 'st' | 'mm' | 'xmm' | 'ymm';

export interface RegisterOperand {
  readonly type: 'register';
  /** iced's number. */
  readonly register: number;
  readonly name: string;
  readonly class: RegisterClass;
  readonly size: number;
}

export interface MemoryOperand {
  readonly type: 'memory';
  /** iced's numbers; 0 for none. */
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly displacement: Value | undefined;
  readonly segment: number;
  /** Size of the operand in bits, 0 when not said. */
  readonly size: number;
  /** Size of the address in bits. */
  readonly addressSize: number;
  readonly relative: boolean;
  /** `byte`, `word` or `dword` inside the brackets: size of the displacement in bytes. */
  readonly displacementSize: number;
  readonly far: boolean;
}

export interface ImmediateOperand {
  readonly type: 'immediate';
  readonly value: Value;
  readonly size: number;
  readonly strict: boolean;
  readonly distance: 'short' | 'near' | 'far' | undefined;
}

export interface FarOperand {
  readonly type: 'far';
  readonly selector: Value;
  readonly offset: Value;
  readonly size: number;
}

export type Operand = RegisterOperand | MemoryOperand | ImmediateOperand | FarOperand;

const registers = new Map<string, RegisterOperand>();

function addRegisters(names: readonly string[], kind: RegisterClass, size: number): void {
  const byName = Register as unknown as Readonly<Record<string, number | undefined>>;
  for (const name of names) {
    const number = byName[name.toUpperCase()];
    if (number !== undefined) registers.set(name, { type: 'register', register: number, name, class: kind, size });
  }
}

const numbered = (prefix: string, count: number, suffix = '', from = 0) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index + from}${suffix}`);
addRegisters(['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh', 'spl', 'bpl', 'sil', 'dil'], 'r8', 8);
addRegisters(['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di', ...numbered('r', 8, 'w', 8)], 'r16', 16);
addRegisters(['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', ...numbered('r', 8, 'd', 8)], 'r32', 32);
addRegisters(['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', ...numbered('r', 8, '', 8)], 'r64', 64);
addRegisters(['es', 'cs', 'ss', 'ds', 'fs', 'gs'], 'seg', 16);
addRegisters(numbered('cr', 16), 'cr', 0);
addRegisters(numbered('dr', 16), 'dr', 0);
addRegisters(numbered('st', 8), 'st', 80);
addRegisters(numbered('mm', 8), 'mm', 64);
addRegisters(numbered('xmm', 16), 'xmm', 128);
addRegisters(numbered('ymm', 16), 'ymm', 256);
// NASM's r8b is iced's R8L.
for (let index = 8; index < 16; index++) {
  const byName = Register as unknown as Readonly<Record<string, number | undefined>>;
  const number = byName[`R${index}L`];
  if (number !== undefined)
    registers.set(`r${index}b`, { type: 'register', register: number, name: `r${index}b`, class: 'r8', size: 8 });
}

export function findRegister(name: string): RegisterOperand | undefined {
  return registers.get(name.toLowerCase());
}

export const registerNames: readonly string[] = [...registers.keys()];

const SIZES: Readonly<Record<string, number>> = { byte: 8, word: 16, dword: 32, qword: 64, tword: 80, oword: 128, yword: 256 };

/** Cuts the tokens after a mnemonic into operands and reads them. */
export function parseOperands(tokens: readonly Token[], mode: number, defaultRelative: boolean, scope: Scope): Operand[] {
  const operands: Operand[] = [];
  let at = 0;
  while (at < tokens.length) {
    const parser = new OperandParser(tokens, at, mode, defaultRelative, scope);
    operands.push(parser.parse());
    at = parser.at;
    if (at >= tokens.length) break;
    const token = tokens[at];
    if (token?.kind !== 'operator' || token.text !== ',')
      throw new AssemblyError('A comma is missing between operands.', undefined, token?.column);
    at++;
    if (at >= tokens.length) throw new AssemblyError('An operand is missing after the comma.', undefined, token.column);
  }
  return operands;
}

class OperandParser {
  constructor(
    private readonly tokens: readonly Token[],
    public at: number,
    private readonly mode: number,
    private readonly defaultRelative: boolean,
    private readonly scope: Scope,
  ) {}

  private word(): string | undefined {
    const token = this.tokens[this.at];
    return token?.kind === 'name' ? token.text.toLowerCase() : undefined;
  }
  private operator(text: string): boolean {
    const token = this.tokens[this.at];
    return token?.kind === 'operator' && token.text === text;
  }
  private expression(): Value {
    const parser = new ExpressionParser(this.tokens, this.at, this.scope);
    const value = parser.parse();
    this.at = parser.at;
    return value;
  }

  parse(): Operand {
    let size = 0;
    let strict = false;
    let distance: ImmediateOperand['distance'];
    for (;;) {
      const word = this.word();
      if (word === undefined) break;
      if (SIZES[word] !== undefined) size = SIZES[word] ?? 0;
      else if (word === 'strict') strict = true;
      else if (word === 'short' || word === 'near' || word === 'far') distance = word;
      else if (word !== 'ptr') break;
      this.at++;
    }
    const word = this.word();
    const register = word === undefined ? undefined : findRegister(word);
    if (register) {
      this.at++;
      return register;
    }
    if (this.operator('[')) return this.memory(size, distance === 'far');
    const value = this.expression();
    if (this.operator(':')) {
      this.at++;
      return { type: 'far', selector: value, offset: this.expression(), size };
    }
    return { type: 'immediate', value, size, strict, distance };
  }

  private memory(size: number, far: boolean): MemoryOperand {
    const open = this.tokens[this.at];
    this.at++;
    let segment = 0;
    let relative: boolean | undefined;
    let displacementSize = 0;
    let addressSize = 0;
    for (;;) {
      const word = this.word();
      const register = word === undefined ? undefined : findRegister(word);
      const next = this.tokens[this.at + 1];
      if (register?.class === 'seg' && next?.kind === 'operator' && next.text === ':') {
        segment = register.register;
        this.at += 2;
      } else if (word === 'rel' || word === 'abs') {
        relative = word === 'rel';
        this.at++;
      } else if (word !== undefined && SIZES[word] !== undefined) {
        displacementSize = (SIZES[word] ?? 0) / 8;
        this.at++;
      } else if (word === 'a16' || word === 'a32' || word === 'a64') {
        addressSize = Number(word.slice(1));
        this.at++;
      } else break;
    }
    const sum = new AddressSum(this.scope);
    this.at = sum.read(this.tokens, this.at);
    if (!this.operator(']'))
      throw new AssemblyError('A "]" is missing.', undefined, this.tokens[this.at]?.column ?? open?.column);
    this.at++;
    return sum.operand(
      { size, far, segment, relative: relative ?? (this.defaultRelative && segment === 0), displacementSize, addressSize },
      this.mode,
    );
  }
}

/** An address as a sum of registers with factors and an expression. */
class AddressSum {
  private readonly registers: { register: RegisterOperand; factor: number }[] = [];
  private displacement: Value | undefined;

  constructor(private readonly scope: Scope) {}

  read(tokens: readonly Token[], start: number): number {
    let at = start;
    let sign = 1n;
    // Runs of tokens without a register are one expression; a sign before a register separates.
    while (at < tokens.length) {
      const token = tokens[at];
      if (token?.kind === 'operator' && token.text === ']') return at;
      if (token?.kind === 'operator' && (token.text === '+' || token.text === '-')) {
        if (token.text === '-') sign = -sign;
        at++;
        continue;
      }
      const term = this.registerTerm(tokens, at);
      if (term) {
        if (sign < 0n) throw new AssemblyError("A register can't be subtracted in an address.", undefined, token?.column);
        this.registers.push(term);
        at = term.end;
      } else {
        const parser = new ExpressionParser(this.untilRegister(tokens, at), at, this.scope);
        const value = parser.parse();
        if (parser.at === at) throw new AssemblyError('This is no address.', undefined, token?.column);
        at = parser.at;
        this.add(value, sign, token?.column);
      }
      sign = 1n;
    }
    return at;
  }

  /** Tokens up to the sign that stands before the next register: they are one expression. */
  private untilRegister(tokens: readonly Token[], start: number): readonly Token[] {
    let depth = 0;
    for (let at = start; at < tokens.length; at++) {
      const token = tokens[at];
      if (token?.kind === 'operator') {
        if (token.text === '(') depth++;
        else if (token.text === ')') depth--;
        else if (
          depth === 0 &&
          (token.text === ']' || ((token.text === '+' || token.text === '-') && this.registerTerm(tokens, at + 1)))
        )
          return tokens.slice(0, at);
      }
    }
    return tokens;
  }

  private registerTerm(
    tokens: readonly Token[],
    at: number,
  ): { register: RegisterOperand; factor: number; end: number } | undefined {
    const named = (index: number) => {
      const token = tokens[index];
      return token?.kind === 'name' ? findRegister(token.text) : undefined;
    };
    const isTimes = (index: number) => {
      const token = tokens[index];
      return token?.kind === 'operator' && token.text === '*';
    };
    const first = named(at);
    if (first) {
      if (!isTimes(at + 1)) return { register: first, factor: 1, end: at + 1 };
      const factor = this.factor(tokens, at + 2);
      return { register: first, factor: factor.value, end: factor.end };
    }
    const second = isTimes(at + 1) ? named(at + 2) : undefined;
    const number = tokens[at];
    if (second && number?.kind === 'number') return { register: second, factor: Number(number.value), end: at + 3 };
    return undefined;
  }

  private factor(tokens: readonly Token[], at: number): { value: number; end: number } {
    const token = tokens[at];
    if (token?.kind === 'number') return { value: Number(token.value), end: at + 1 };
    if (token?.kind === 'name') return { value: Number(this.scope.symbol(token.text, token.column).number), end: at + 1 };
    const parser = new ExpressionParser(tokens, at, this.scope);
    return { value: Number(parser.parse().number), end: parser.at };
  }

  private add(value: Value, sign: bigint, column: number | undefined): void {
    if (sign < 0n && value.section !== undefined && !value.unknown)
      throw new AssemblyError("An address can't be subtracted here.", undefined, column);
    const before = this.displacement;
    if (before?.section !== undefined && value.section !== undefined)
      throw new AssemblyError("Two addresses can't be added.", undefined, column);
    this.displacement = {
      number: BigInt.asIntN(64, (before?.number ?? 0n) + sign * value.number),
      section: before?.section ?? value.section,
      unknown: before?.unknown || value.unknown,
    };
  }

  operand(
    rest: Pick<MemoryOperand, 'size' | 'far' | 'segment' | 'relative' | 'displacementSize' | 'addressSize'>,
    mode: number,
  ): MemoryOperand {
    let base: RegisterOperand | undefined;
    let index: RegisterOperand | undefined;
    let scale = 1;
    const merged: { register: RegisterOperand; factor: number }[] = [];
    for (const term of this.registers) {
      const same = merged.find(({ register }) => register.name === term.register.name);
      if (same) same.factor += term.factor;
      else merged.push({ ...term });
    }
    for (const { register, factor } of merged) {
      if (!['r16', 'r32', 'r64'].includes(register.class))
        throw new AssemblyError(`${register.name} can't be part of an address.`);
      if (factor === 1 && !base) base = register;
      else if (!index) {
        index = register;
        scale = factor;
      } else throw new AssemblyError('An address has at most two registers.');
    }
    if (index && scale === 1 && /^[er]?sp$/.test(index.name) && base) [base, index] = [index, base];
    // reg*2 is shorter as reg+reg; reg*3, *5 and *9 need the register as its own base.
    if (index && !base && (scale === 2 || scale === 3 || scale === 5 || scale === 9)) {
      base = index;
      scale -= 1;
    }
    if (![1, 2, 4, 8].includes(scale))
      throw new AssemblyError(`A register in an address can't be multiplied by ${scale}.`, 'The factors are 1, 2, 4 and 8.');
    if (base && index && base.size === 16 && ['si', 'di'].includes(base.name) && ['bx', 'bp'].includes(index.name))
      [base, index] = [index, base];
    if (base && index && base.size !== index.size)
      throw new AssemblyError('The registers of an address must have the same size.');
    const size = rest.addressSize || (base ?? index)?.size || mode;
    const relative = rest.relative && !base && !index && mode === 64;
    return {
      type: 'memory',
      ...rest,
      addressSize: size,
      relative,
      base: base?.register ?? 0,
      index: index?.register ?? 0,
      scale,
      displacement: this.displacement,
    };
  }
}
