import type { FileAccess } from '../program.ts';
import { ProgramError } from '../program.ts';
import { AssemblyError, type Diagnostic } from './diagnostic.ts';
import { encodeInstruction } from './encoder.ts';
import { ExpressionParser, type Scope, type Value } from './expression.ts';
import { fill } from './fill.ts';
import { floatBytes } from './floats.ts';
import type { Token } from './lexer.ts';
import { parseOperands } from './operands.ts';
import type { Statement } from './statement.ts';

/** A symbol with its value in the last pass. */
export interface AssembledSymbol {
  readonly name: string;
  readonly value: Value;
  readonly kind: 'label' | 'equ' | 'struc';
  readonly statement: Statement;
}

/** One line's bytes in a section. */
export interface AssembledLine {
  readonly statement: Statement;
  readonly section: string;
  readonly offset: number;
  readonly length: number;
  readonly isCode: boolean;
}

export interface Section {
  readonly name: string;
  readonly noBits: boolean;
  readonly code: boolean;
  align: number;
  bytes: number[];
  size: number;
  /** Address of the first byte, laid out after each pass. */
  start: bigint;
}

export interface AssemblyOptions {
  /** Where the first section goes unless the source says `org`. */
  readonly origin: bigint;
}

const MAX_PASSES = 60;
/** Passes in which a jump may still become shorter again. */
const FREE_PASSES = 30;
const MAX_SIZE = 256 * 1024 * 1024;
const DATA_SIZES: Readonly<Record<string, number>> = { b: 1, w: 2, d: 4, q: 8, t: 10, o: 16 };
const PREFIX_BYTES: Readonly<Record<string, number>> = {
  lock: 0xf0,
  rep: 0xf3,
  repe: 0xf3,
  repz: 0xf3,
  repne: 0xf2,
  repnz: 0xf2,
  bnd: 0xf2,
  xacquire: 0xf2,
  xrelease: 0xf3,
  es: 0x26,
  cs: 0x2e,
  ss: 0x36,
  ds: 0x3e,
  fs: 0x64,
  gs: 0x65,
};
const NOP_FILL = 0x90;

/** Assembles statements in passes until no address changes any more. */
export class Assembly {
  readonly diagnostics: Diagnostic[] = [];
  readonly sections = new Map<string, Section>();
  readonly symbols = new Map<string, AssembledSymbol>();
  lines: AssembledLine[] = [];
  origin: bigint | undefined;
  /** The first `bits` of the source. */
  firstBits: 16 | 32 | 64 | undefined;
  readonly globals = new Set<string>();
  private previous = new Map<string, Value>();
  private readonly nearJumps = new Set<Statement>();
  private readonly incbins = new Map<string, Uint8Array>();
  private section: Section;
  private bits: 16 | 32 | 64 = 16;
  private defaultRelative = false;
  private parent = '';
  private changed = false;
  private final = false;
  private absolute: { base: Value; offset: number } | undefined;
  private structure: { name: string; outer: { base: Value; offset: number } | undefined } | undefined;
  private instance: { start: number; name: string } | undefined;
  private lineStart = 0;
  private totalSize = 0;
  private passes = 0;

  constructor(
    private readonly statements: readonly Statement[],
    private readonly files: FileAccess,
    private readonly options: AssemblyOptions,
  ) {
    this.section = this.openSection('.text', '');
  }

  /** Runs all passes; errors are in `diagnostics`. */
  run(): void {
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      this.pass(false);
      if (this.diagnostics.some(({ severity }) => severity === 'error')) return;
      if (!this.changed && pass > 0) break;
    }
    this.pass(true);
  }

  private pass(final: boolean): void {
    this.final = final;
    this.passes++;
    this.changed = false;
    this.previous = new Map([...this.symbols].map(([name, { value }]) => [name, value]));
    this.symbols.clear();
    this.lines = [];
    this.absolute = undefined;
    this.structure = undefined;
    this.instance = undefined;
    this.bits = 16;
    this.defaultRelative = false;
    this.parent = '';
    this.totalSize = 0;
    for (const section of this.sections.values()) {
      section.bytes = [];
      section.size = 0;
    }
    this.section = this.openSection('.text', '');
    for (const statement of this.statements) {
      try {
        this.statement(statement);
      } catch (error) {
        this.report(statement, error);
      }
    }
    this.layOut();
    for (const [name, { value }] of this.symbols) {
      const before = this.previous.get(name);
      if (before?.number !== value.number) this.changed = true;
    }
  }

  private report(statement: Statement, error: unknown): void {
    if (!(error instanceof AssemblyError) && !(error instanceof ProgramError)) throw error;
    if (this.diagnostics.length >= 100) return;
    const { column = statement.column, length = 1, hint } = error instanceof AssemblyError ? error : {};
    const { place } = statement;
    if (this.diagnostics.some((old) => old.line === place.line && old.path === place.path && old.message === error.message))
      return;
    this.diagnostics.push({ ...place, column, length, severity: 'error', message: error.message, hint });
  }

  /** Sections follow each other: .text first, then those with bytes in order, then those without. */
  private layOut(): void {
    let at = this.origin ?? this.options.origin;
    const ordered = [...this.sections.values()]
      .filter((section) => !section.noBits)
      .concat([...this.sections.values()].filter((section) => section.noBits));
    ordered.forEach((section, index) => {
      if (index > 0) at = (at + BigInt(section.align - 1)) & ~BigInt(section.align - 1);
      if (section.start !== at) this.moveSection(section, at);
      at += BigInt(section.size);
    });
  }

  /** Symbols move with their section, so that the next pass starts from what this one knows. */
  private moveSection(section: Section, start: bigint): void {
    this.changed = true;
    const distance = start - section.start;
    section.start = start;
    for (const [name, symbol] of this.symbols)
      if (symbol.value.section === section.name)
        this.symbols.set(name, { ...symbol, value: { ...symbol.value, number: symbol.value.number + distance } });
  }

  private openSection(name: string, attributes: string): Section {
    const known = this.sections.get(name);
    if (known) return known;
    const words = attributes.toLowerCase();
    const align = /align=(\d+)/.exec(words)?.[1];
    const section: Section = {
      name,
      noBits: name === '.bss' || /\bnobits\b/.test(words),
      code: name === '.text' || /\bexec\b/.test(words),
      align: align ? Math.max(1, Number(align)) : name === '.text' ? 16 : 4,
      bytes: [],
      size: 0,
      start: this.options.origin,
    };
    if (section.align > 0x10000 || (section.align & (section.align - 1)) !== 0)
      throw new AssemblyError(`${section.align} is no alignment.`, 'Use a power of two up to 65536.');
    this.sections.set(name, section);
    return section;
  }

  // --- symbols ---------------------------------------------------------------------------------------------------------

  private fullName(name: string): string {
    return name.startsWith('.') && !name.startsWith('..') ? this.parent + name : name;
  }

  private readonly scope: Scope = {
    symbol: (name, column) => this.lookUp(name, column),
    here: () => this.position(this.lineStart),
    sectionStart: () => (this.absolute ? this.absolute.base : { number: this.section.start, section: this.section.name }),
  };

  private lookUp(name: string, column: number): Value {
    const full = this.fullName(name);
    const now = this.symbols.get(full)?.value ?? this.previous.get(full);
    if (now) return now;
    if (this.final || this.previous.size > 0) {
      const similar = [...this.symbols.keys(), ...this.previous.keys()].find(
        (other) => other.toLowerCase() === full.toLowerCase(),
      );
      throw new AssemblyError(
        `The symbol "${name}" is not defined.`,
        similar === undefined ? 'Check its spelling, or define it as a label or with equ.' : `Did you mean "${similar}"?`,
        column,
        name.length,
      );
    }
    return { number: this.section.start, section: this.section.name, unknown: true };
  }

  private position(offset: number): Value {
    if (this.absolute) return { number: this.absolute.base.number + BigInt(offset), section: this.absolute.base.section };
    return { number: this.section.start + BigInt(offset), section: this.section.name };
  }

  private get offset(): number {
    return this.absolute ? this.absolute.offset : this.section.size;
  }

  private define(statement: Statement, name: string, value: Value, kind: AssembledSymbol['kind']): void {
    const full = this.fullName(name);
    const old = this.symbols.get(full);
    if (old && kind !== 'struc') {
      const { path, line } = old.statement.place;
      throw new AssemblyError(
        `"${name}" is defined already, at ${path}:${line}.`,
        'Give one of them another name, or make it local with a leading dot.',
        statement.labelColumn,
        name.length,
      );
    }
    this.symbols.set(full, { name: full, value, kind, statement });
    if (!name.startsWith('.') && kind === 'label') this.parent = name;
  }

  private expression(tokens: readonly Token[]): Value {
    const parser = new ExpressionParser(tokens, 0, this.scope);
    const value = parser.parse();
    if (parser.at < tokens.length)
      throw new AssemblyError('Something is left over after this expression.', undefined, tokens[parser.at]?.column);
    return value;
  }

  /** An expression that must be a number known at this place. */
  private constant(tokens: readonly Token[], what: string): number {
    const value = this.expression(tokens);
    if (value.section !== undefined && !value.unknown)
      throw new AssemblyError(`${what} must be a number, not an address.`, undefined, tokens[0]?.column);
    if (value.unknown && this.previous.size === 0) return 0;
    if (value.number < 0n || value.number > BigInt(MAX_SIZE))
      throw new AssemblyError(`${what} is ${value.number}; it must be between 0 and ${MAX_SIZE}.`, undefined, tokens[0]?.column);
    return Number(value.number);
  }

  // --- statements --------------------------------------------------------------------------------------------------------

  private statement(statement: Statement): void {
    this.lineStart = this.offset;
    const { word, label } = statement;
    if (word === 'equ') {
      if (label === undefined) throw new AssemblyError('EQU needs a name in front of it.', 'For example: SIZE equ 16');
      this.define(statement, label, this.expression(statement.operands), 'equ');
      return;
    }
    if (label !== undefined) this.define(statement, label, this.position(this.offset), 'label');
    if (word === undefined) {
      if (statement.prefixes.length > 0) this.emit(prefixBytes(statement.prefixes, this.bits));
      return;
    }
    const count = statement.times ? this.constant(statement.times, 'The count of TIMES') : 1;
    const section = this.section.name;
    const start = this.offset;
    for (let index = 0; index < count; index++) {
      this.lineStart = this.offset;
      this.once(statement, word);
      if (this.totalSize > MAX_SIZE)
        throw new AssemblyError(`The program grows beyond ${MAX_SIZE} bytes.`, 'Look at its TIMES and RES directives.');
    }
    if (!this.absolute && this.offset > start && section === this.section.name)
      this.lines.push({
        statement,
        section,
        offset: start,
        length: this.offset - start,
        isCode: !/^(d[bwdqto]|res[bwdqto]|align|alignb|incbin)$/.test(word),
      });
  }

  private once(statement: Statement, word: string): void {
    const data = /^(d|res)([bwdqto])$/.exec(word);
    if (data?.[1] === 'd' && data[2]) this.data(statement.operands, DATA_SIZES[data[2]] ?? 1);
    else if (data?.[2]) this.reserve(this.constant(statement.operands, 'The count') * (DATA_SIZES[data[2]] ?? 1));
    else if (!this.directive(statement, word)) this.instruction(statement, word);
  }

  private emit(bytes: ArrayLike<number>): void {
    if (this.absolute)
      throw new AssemblyError(
        'Code and data need a section; this is an absolute one.',
        'Only labels and RES directives stand under `absolute` and in `struc`.',
      );
    if (this.section.noBits)
      throw new AssemblyError(`The section ${this.section.name} holds no bytes.`, 'Use RES directives here, or another section.');
    this.totalSize += bytes.length;
    if (this.totalSize > MAX_SIZE) throw new AssemblyError(`The program grows beyond ${MAX_SIZE} bytes.`);
    for (let index = 0; index < bytes.length; index++) this.section.bytes.push(bytes[index] ?? 0);
    this.section.size += bytes.length;
  }

  private reserve(count: number): void {
    if (this.absolute) this.absolute.offset += count;
    else if (this.section.noBits) {
      this.section.size += count;
      this.totalSize += count;
    } else this.emit(new Uint8Array(count));
  }

  private instruction(statement: Statement, word: string): void {
    const operands = parseOperands(statement.operands, {
      mode: this.bits,
      defaultRelative: this.defaultRelative,
      scope: this.scope,
    });
    const prefixes = prefixBytes(statement.prefixes, this.bits);
    const address = this.absolute ? 0n : this.section.start + BigInt(this.section.size);
    const rexW = statement.prefixes.includes('o64');
    const request = { mnemonic: word, prefixes, operands, mode: this.bits, address, rexW };
    const near = this.nearJumps.has(statement);
    const [target] = operands;
    // Where a jump leads isn't known in the first pass: hope for the short form.
    if (
      this.previous.size === 0 &&
      /^j/.test(word) &&
      target?.type === 'immediate' &&
      target.value.unknown &&
      target.distance === undefined
    ) {
      this.emit([...prefixes, 0, 0]);
      return;
    }
    const bytes = encodeInstruction({ ...request, near });
    // Jumps may change back and forth between passes; later ones stay near, so that the passes come to an end.
    const isJump = operands[0]?.type === 'immediate' && operands[0].distance === undefined && /^(j|call)/.test(word);
    if (isJump && !near && bytes.length - prefixes.length > 2 && this.passes > FREE_PASSES) this.nearJumps.add(statement);
    this.emit(bytes);
  }

  private data(tokens: readonly Token[], size: number): void {
    for (const item of splitAtCommas(tokens)) {
      const only = item.length === 1 ? item[0] : undefined;
      const negative =
        item[0]?.kind === 'operator' && item[0].text === '-' && item[1]?.kind === 'float' && item.length === 2
          ? item[1]
          : undefined;
      if (only?.kind === 'string') {
        const padded = new Uint8Array(Math.ceil(only.bytes.length / size) * size);
        padded.set(only.bytes);
        this.emit(padded);
      } else if (only?.kind === 'float' || negative)
        this.emit(floatBytes((negative ?? only)?.text ?? '', negative !== undefined, size));
      else if (only?.kind === 'operator' && only.text === '?') this.reserve(size);
      else this.emit(integerBytes(this.expression(item), size, item));
    }
  }

  /** True when the word was a directive. */
  private directive(statement: Statement, word: string): boolean {
    const { operands } = statement;
    switch (word) {
      case 'bits':
      case 'use16':
      case 'use32':
      case 'use64': {
        const bits = word === 'bits' ? this.constant(operands, 'The code size') : Number(word.slice(3));
        if (bits !== 16 && bits !== 32 && bits !== 64)
          throw new AssemblyError(`There is no ${bits}-bit code.`, 'Use bits 16, bits 32 or bits 64.', operands[0]?.column);
        this.bits = bits;
        this.firstBits ??= bits;
        return true;
      }
      case 'default':
        for (const token of operands)
          if (token.kind === 'name')
            this.defaultRelative =
              token.text.toLowerCase() === 'rel' || (this.defaultRelative && token.text.toLowerCase() !== 'abs');
        return true;
      case 'org':
        this.origin = BigInt.asUintN(64, this.expression(operands).number);
        return true;
      case 'section':
      case 'segment': {
        const [name, ...rest] = operands;
        if (name?.kind !== 'name')
          throw new AssemblyError('A section needs a name.', 'For example: section .data', operands[0]?.column);
        this.absolute = undefined;
        this.section = this.openSection(
          name.text,
          rest
            .map((token) => token.text)
            .join('')
            .replace(/align=/gi, ' align='),
        );
        return true;
      }
      case 'absolute': {
        const base = this.expression(operands);
        this.absolute = { base, offset: 0 };
        return true;
      }
      case 'align':
      case 'alignb': {
        this.align(operands, word === 'alignb');
        return true;
      }
      case 'global':
      case 'static':
      case 'required':
        for (const token of operands) if (token.kind === 'name') this.globals.add(token.text);
        return true;
      case 'extern':
      case 'common':
        throw new AssemblyError(`${word} needs a linker, and there is none here.`, 'Put the code into one source with %include.');
      case 'cpu':
      case 'warning':
        return true;
      case 'incbin':
        this.includeBinary(statement);
        return true;
      default:
        return this.structureDirective(statement, word);
    }
  }

  private align(operands: readonly Token[], reserve: boolean): void {
    const [size = [], filler] = splitAtCommas(operands);
    const alignment = this.constant(size, 'The alignment');
    if (alignment === 0 || (alignment & (alignment - 1)) !== 0)
      throw new AssemblyError(`${alignment} is no alignment.`, 'Use a power of two.', operands[0]?.column);
    // The section itself must start at least as well aligned.
    if (!this.absolute && alignment <= 0x1_0000) this.section.align = Math.max(this.section.align, alignment);
    const gap = (alignment - (this.offset % alignment)) % alignment;
    const isReserve = filler?.[0]?.kind === 'name' && /^res[bwdqto]$/i.test(filler[0].text);
    if (this.absolute || this.section.noBits || (reserve && !filler) || isReserve) this.reserve(gap);
    else if (!filler) this.emit(new Uint8Array(gap).fill(NOP_FILL));
    else this.emit(fill(filler, gap, (tokens) => this.expression(tokens)));
  }

  private includeBinary(statement: Statement): void {
    const [name = [], skip, limit] = splitAtCommas(statement.operands);
    const token = name[0];
    if (token?.kind !== 'string') throw new AssemblyError('INCBIN needs a file name in quotes.', undefined, token?.column);
    const path = this.files.resolve(statement.place.path, new TextDecoder().decode(token.bytes));
    let bytes = this.incbins.get(path);
    if (!bytes) {
      bytes = this.files.read(path);
      this.incbins.set(path, bytes);
    }
    const start = skip ? this.constant(skip, 'The offset') : 0;
    const length = limit ? this.constant(limit, 'The length') : bytes.length;
    this.emit(bytes.subarray(start, start + length));
  }

  private structureDirective(statement: Statement, word: string): boolean {
    const name = statement.operands[0];
    if (word === 'struc') {
      if (name?.kind !== 'name') throw new AssemblyError('STRUC needs a name.', undefined, name?.column);
      this.structure = { name: name.text, outer: this.absolute };
      const base = splitAtCommas(statement.operands)[1];
      this.absolute = { base: { number: 0n }, offset: base ? this.constant(base, 'The offset') : 0 };
      this.define(statement, name.text, { number: 0n }, 'struc');
      this.parent = name.text;
      return true;
    }
    if (word === 'endstruc') {
      if (!this.structure || !this.absolute) throw new AssemblyError('ENDSTRUC stands without its STRUC.');
      this.define(statement, `${this.structure.name}_size`, { number: BigInt(this.absolute.offset) }, 'struc');
      this.absolute = this.structure.outer;
      this.structure = undefined;
      return true;
    }
    if (word === 'istruc') {
      if (name?.kind !== 'name') throw new AssemblyError('ISTRUC needs the name of a structure.', undefined, name?.column);
      this.instance = { start: this.offset, name: name.text };
      this.parent = name.text;
      return true;
    }
    if (word === 'at' || word === 'iend') {
      if (!this.instance) throw new AssemblyError(`${word.toUpperCase()} stands without its ISTRUC.`);
      const [target = [], ...rest] = splitAtCommas(statement.operands);
      const end = word === 'iend' ? this.lookUp(`${this.instance.name}_size`, 1) : this.expression(target);
      const gap = Number(end.number) - (this.offset - this.instance.start);
      if (gap < 0)
        throw new AssemblyError(
          'This member lies before what is written already.',
          'Members must come in the order of the structure.',
        );
      this.emit(new Uint8Array(Math.min(gap, MAX_SIZE)));
      if (word === 'iend') this.instance = undefined;
      else if (rest.length > 0) this.member(statement, rest);
      return true;
    }
    return false;
  }

  /** `at member, db 1, 2`: the directive after the comma. */
  private member(statement: Statement, parts: readonly (readonly Token[])[]): void {
    const [first, ...values] = parts[0] ?? [];
    const word = first?.kind === 'name' ? first.text.toLowerCase() : '';
    const size = /^d([bwdqto])$/.exec(word)?.[1];
    if (size === undefined)
      throw new AssemblyError('AT takes a data directive after its comma.', 'For example: at point.x, dd 1', statement.column);
    for (const item of [values, ...parts.slice(1)]) this.data(item, DATA_SIZES[size] ?? 1);
  }
}

function splitAtCommas(tokens: readonly Token[]): Token[][] {
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

/** Prefix words as bytes; sizes only where they differ from the mode's. */
function prefixBytes(words: readonly string[], bits: number): number[] {
  return words.flatMap((word) => {
    const byte = PREFIX_BYTES[word];
    if (byte !== undefined) return [byte];
    if (word === 'o64') return [];
    const size = Number(word.slice(1));
    if (word.startsWith('a')) return size === bits ? [] : [0x67];
    return (size === 16) === (bits === 16) ? [] : [0x66];
  });
}

function integerBytes(value: Value, size: number, tokens: readonly Token[]): Uint8Array {
  const limit = 1n << BigInt(Math.min(size, 8) * 8);
  if (value.section === undefined && !value.unknown && size < 8 && (value.number >= limit || value.number < -limit / 2n))
    throw new AssemblyError(
      `${value.number} doesn't fit into ${size} byte${size === 1 ? '' : 's'}.`,
      'Use a larger data directive, or mask it with "&".',
      tokens[0]?.column,
    );
  const bytes = new Uint8Array(size);
  const negative = value.number < 0n ? 0xff : 0;
  for (let index = 0; index < size; index++)
    bytes[index] = index < 8 ? Number((value.number >> BigInt(index * 8)) & 0xffn) : negative;
  return bytes;
}
