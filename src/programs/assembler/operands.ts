import { splitAddress } from './address.ts';
import { AssemblyError } from './diagnostic.ts';
import { ExpressionParser, type Scope, type Value } from './expression.ts';
import type { Token } from './lexer.ts';
import { findRegister, type RegisterInfo } from './registers.ts';

/** What AVX-512 adds to an operand. */
export interface Decorations {
  /** iced's number of the mask register. */
  readonly mask?: number;
  readonly zeroing?: boolean;
  /** Elements that one element of memory is repeated to. */
  readonly broadcast?: number;
}

export interface RegisterOperand extends RegisterInfo, Decorations {
  readonly type: 'register';
  /** `fadd to st3`: the result goes to it. */
  readonly to?: boolean;
}

export interface MemoryOperand extends Decorations {
  readonly type: 'memory';
  readonly base: RegisterInfo | undefined;
  readonly index: RegisterInfo | undefined;
  readonly scale: number;
  readonly displacement: Value | undefined;
  /** iced's number of an override; 0 for none. */
  readonly segment: number;
  /** Size of the operand in bits, 0 when not said. */
  readonly size: number;
  /** Size of the address in bits. */
  readonly addressSize: number;
  readonly relative: boolean;
  /** `byte`, `word`, `dword` or `qword` inside the brackets: size of the displacement in bytes. */
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

/** `{sae}`, `{rn-sae}` … in the place of an operand. */
export interface RoundingOperand {
  readonly type: 'rounding';
  /** As written: sae, rn-sae, rd-sae, ru-sae, rz-sae. */
  readonly mode: string;
}

export type Operand = RegisterOperand | MemoryOperand | ImmediateOperand | FarOperand | RoundingOperand;

export const SIZES: Readonly<Record<string, number>> = {
  byte: 8,
  word: 16,
  dword: 32,
  qword: 64,
  tword: 80,
  tbyte: 80,
  oword: 128,
  yword: 256,
  zword: 512,
};

export interface OperandContext {
  readonly mode: 16 | 32 | 64;
  /** `default rel`. */
  readonly defaultRelative: boolean;
  readonly scope: Scope;
}

/** Cuts the tokens after a mnemonic into operands and reads them. */
export function parseOperands(tokens: readonly Token[], context: OperandContext): Operand[] {
  const operands: Operand[] = [];
  let at = 0;
  while (at < tokens.length) {
    const parser = new OperandParser(tokens, at, context);
    operands.push(parser.parse());
    at = parser.at;
    if (at >= tokens.length) break;
    const token = tokens[at];
    if (token?.kind !== 'operator' || token.text !== ',')
      throw new AssemblyError('A comma is missing between operands.', 'Operands are parted by commas: mov eax, 1', token?.column);
    at++;
    if (at >= tokens.length) throw new AssemblyError('An operand is missing after the comma.', undefined, token.column);
  }
  return operands;
}

class OperandParser {
  constructor(
    private readonly tokens: readonly Token[],
    public at: number,
    private readonly context: OperandContext,
  ) {}

  private word(): string | undefined {
    const token = this.tokens[this.at];
    return token?.kind === 'name' && !token.escaped ? token.text.toLowerCase() : undefined;
  }
  private operator(text: string): boolean {
    const token = this.tokens[this.at];
    return token?.kind === 'operator' && token.text === text;
  }
  private expression(inAddress = false): Value {
    const parser = new ExpressionParser(this.tokens, this.at, this.context.scope, inAddress);
    const value = parser.parse();
    this.at = parser.at;
    return value;
  }

  parse(): Operand {
    const rounding = this.tokens[this.at];
    if (rounding?.kind === 'decorator' && /sae$/.test(rounding.text)) {
      this.at++;
      return { type: 'rounding', mode: rounding.text };
    }
    let size = 0;
    let strict = false;
    let distance: ImmediateOperand['distance'];
    let to: boolean | undefined;
    for (;;) {
      const word = this.word();
      if (word === undefined) break;
      if (SIZES[word] !== undefined) size = SIZES[word] ?? 0;
      else if (word === 'strict') strict = true;
      else if (word === 'short' || word === 'near' || word === 'far') distance = word;
      else if (word === 'to') to = true;
      else if (word !== 'ptr') break;
      this.at++;
    }
    const word = this.word();
    const register = word === undefined ? undefined : findRegister(word);
    if (register) {
      this.at++;
      return { type: 'register', ...register, ...(to && { to }), ...this.decorations() };
    }
    if (this.operator('[')) return this.memory(size, distance === 'far');
    const value = this.expression();
    if (this.operator(':')) {
      this.at++;
      return { type: 'far', selector: value, offset: this.expression(), size };
    }
    return { type: 'immediate', value, size, strict, distance };
  }

  /** `{k1}{z}` or `{1to8}` behind an operand. */
  private decorations(): Decorations {
    let result: Decorations = {};
    for (;;) {
      const token = this.tokens[this.at];
      if (token?.kind !== 'decorator') return result;
      const repeated = /^1to(\d+)$/.exec(token.text)?.[1];
      const mask = findRegister(token.text);
      if (token.text === 'z') result = { ...result, zeroing: true };
      else if (repeated !== undefined) result = { ...result, broadcast: Number(repeated) };
      else if (mask?.class === 'k') result = { ...result, mask: mask.register };
      else throw new AssemblyError(`{${token.text}} doesn't belong to an operand.`, undefined, token.column);
      this.at++;
    }
  }

  private memory(size: number, far: boolean): MemoryOperand {
    const open = this.tokens[this.at];
    this.at++;
    let segment = 0;
    let relative: boolean | undefined;
    let displacementSize = 0;
    let statedAddressSize = 0;
    let nosplit = false;
    for (;;) {
      const word = this.word();
      const register = word === undefined ? undefined : findRegister(word);
      const next = this.tokens[this.at + 1];
      if (register?.class === 'seg' && next?.kind === 'operator' && next.text === ':') {
        segment = register.register;
        this.at++;
      } else if (word === 'rel' || word === 'abs') relative = word === 'rel';
      else if (word === 'nosplit') nosplit = true;
      else if (word !== undefined && SIZES[word] !== undefined) displacementSize = (SIZES[word] ?? 0) / 8;
      else if (word === 'a16' || word === 'a32' || word === 'a64') statedAddressSize = Number(word.slice(1));
      else break;
      this.at++;
    }
    const column = this.tokens[this.at]?.column ?? open?.column;
    const value = this.expression(true);
    // MPX writes base and index apart: [rax, rcx*4].
    if (!this.operator(']'))
      throw new AssemblyError('A "]" is missing.', undefined, this.tokens[this.at]?.column ?? open?.column);
    this.at++;
    const { base, index, scale } = splitAddress(value, nosplit, column);
    const { mode, defaultRelative } = this.context;
    const alone = base === undefined && index === undefined;
    // An address alone of another size than the mode's: [word 5] in 32-bit code.
    const statedSize = alone && displacementSize > 1 && displacementSize * 8 !== mode ? displacementSize * 8 : 0;
    const registerSize = base?.size ?? (index && index.size <= 64 ? index.size : undefined);
    const isWide = alone && mode === 64 && displacementSize === 8;
    return {
      type: 'memory',
      size,
      far,
      segment,
      displacementSize,
      base,
      index,
      scale,
      addressSize: statedAddressSize || (isWide ? 64 : statedSize && mode !== 64 ? statedSize : (registerSize ?? mode)),
      relative: alone && mode === 64 && !isWide && isAddress(value) && (relative ?? (defaultRelative && segment === 0)),
      displacement: alone || hasDisplacement(value) ? { ...value, registers: undefined } : undefined,
      ...this.decorations(),
    };
  }
}

/** A plain number isn't relative to anything. */
const isAddress = ({ section, unknown }: Value): boolean => section !== undefined || unknown === true;

/** An address of registers alone has no displacement; a zero that may become something else in a later pass is one. */
function hasDisplacement({ number, section, unknown }: Value): boolean {
  return number !== 0n || section !== undefined || unknown === true;
}
