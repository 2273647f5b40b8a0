import type { FileAccess } from '../program.ts';
import { ProgramError } from '../program.ts';
import { emitData } from './data.ts';
import { AssemblyError, type Diagnostic } from './diagnostic.ts';
import { directives } from './directives.ts';
import { encodeInstruction } from './encoder.ts';
import { ExpressionParser, type Scope, type Value } from './expression.ts';
import { hintForName } from './hints.ts';
import type { Token } from './lexer.ts';
import { type Operand, parseOperands } from './operands.ts';
import { prefixBytes } from './prefixes.ts';
import { layOut, MAX_SIZE, Section, type SectionAttributes } from './section.ts';
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

export interface AssemblyOptions {
  /** Where the first section goes unless the source says `org`. */
  readonly origin: bigint;
}

const MAX_PASSES = 60;
/** Passes in which a jump may still become shorter again. */
const FREE_PASSES = 30;
const MAX_DIAGNOSTICS = 100;
/** Repetitions of one pass: each takes about a microsecond. */
const MAX_REPETITIONS = 2_000_000;

/** Bytes of a statement, and what they were made from: the same again needs no encoding. */
interface Remembered {
  readonly signature: string;
  readonly bytes: Uint8Array;
}

/** Assembles statements in passes until no address changes any more. */
export class Assembly {
  readonly diagnostics: Diagnostic[] = [];
  readonly sections = new Map<string, Section>();
  readonly symbols = new Map<string, AssembledSymbol>();
  lines: AssembledLine[] = [];
  origin: bigint | undefined;
  /** The first `bits` of the source. */
  firstBits: 16 | 32 | 64 | undefined;
  /** Names that the source exports, with the type that it gives them. */
  readonly globals = new Map<string, string>();
  readonly externals = new Set<string>();
  bits: 16 | 32 | 64 = 16;
  defaultRelative = false;
  /** Set under `absolute` and in STRUC: no bytes, only offsets. */
  absolute: { readonly base: Value; offset: number } | undefined;
  structure: { readonly name: string; readonly base: number; readonly outer: Assembly['absolute'] } | undefined;
  instance: { readonly start: number; readonly name: string } | undefined;
  /** The label that local labels belong to. */
  parent = '';
  section: Section;
  private previous = new Map<string, Value>();
  private readonly nearJumps = new Set<Statement>();
  private readonly remembered = new Map<Statement, Remembered>();
  private readonly incbins = new Map<string, Uint8Array>();
  private current: Statement | undefined;
  private changed = false;
  private final = false;
  private lineStart = 0;
  private repetitions = 0;
  private passes = 0;
  /** The statement has used a label that is still to come, in the first pass. */
  private guessed = false;

  constructor(
    private readonly statements: readonly Statement[],
    private readonly files: FileAccess,
    private readonly options: AssemblyOptions,
  ) {
    this.section = this.openSection('.text', {});
  }

  /** Runs all passes; errors are in `diagnostics`. */
  run(): void {
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      this.pass(false);
      // The second pass knows all labels: it finds those that are missing.
      if (pass > 0 && this.hasErrors()) return;
      if (!this.changed && pass > 0) break;
    }
    this.pass(true);
  }

  private hasErrors(): boolean {
    return this.diagnostics.some(({ severity }) => severity === 'error');
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
    this.origin = undefined;
    this.bits = 16;
    this.defaultRelative = false;
    this.parent = '';
    this.repetitions = 0;
    for (const section of this.sections.values()) section.clear();
    this.section = this.openSection('.text', {});
    for (const statement of this.statements) {
      this.current = statement;
      this.guessed = false;
      try {
        this.statement(statement);
      } catch (error) {
        // With a label that is not known yet it may be wrong only now; if the label stays unknown, that is what is wrong.
        if (!this.guessed) this.report(statement, error);
        if (this.diagnostics.length >= MAX_DIAGNOSTICS || this.isExhausted()) break;
      }
    }
    this.warnOfOpenStructure();
    this.layOut();
    for (const [name, { value }] of this.symbols) if (this.previous.get(name)?.number !== value.number) this.changed = true;
  }

  private warnOfOpenStructure(): void {
    if (this.structure) this.warn(`STRUC ${this.structure.name} has no ENDSTRUC.`);
  }

  private isExhausted(): boolean {
    return this.repetitions > MAX_REPETITIONS;
  }

  private report(statement: Statement, error: unknown): void {
    if (!(error instanceof AssemblyError) && !(error instanceof ProgramError)) throw error;
    const { column = statement.column, length = 1, hint } = error instanceof AssemblyError ? error : {};
    this.addDiagnostic(statement, { column, length, severity: 'error', message: error.message, hint });
  }

  private addDiagnostic(statement: Statement, rest: Omit<Diagnostic, 'path' | 'line'>): void {
    const { place } = statement;
    const isOld = (old: Diagnostic) => old.line === place.line && old.path === place.path && old.message === rest.message;
    if (this.diagnostics.length < MAX_DIAGNOSTICS && !this.diagnostics.some(isOld)) this.diagnostics.push({ ...place, ...rest });
  }

  /** Reports what is assembled but looks wrong: only in the last pass, when numbers are what they will be. */
  warn(message: string, column?: number): void {
    if (this.final && this.current)
      this.addDiagnostic(this.current, { column: column ?? this.current.column, length: 1, severity: 'warning', message });
  }

  private layOut(): void {
    layOut([...this.sections.values()], this.origin ?? this.options.origin, (section, start, load) => {
      section.load = load;
      if (section.start !== start) this.moveSection(section, start);
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

  openSection(name: string, attributes: SectionAttributes): Section {
    const known = this.sections.get(name);
    if (known) return known;
    const section = new Section(name, attributes);
    section.start = this.options.origin;
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

  lookUp(name: string, column?: number): Value {
    const full = this.fullName(name);
    const now = this.symbols.get(full)?.value ?? this.previous.get(full);
    if (now) return now;
    if (this.passes === 1) {
      this.guessed = true;
      return { number: this.section.start, section: this.section.name, unknown: true };
    }
    if (this.externals.has(full))
      throw new AssemblyError(
        `"${name}" is external, and there is no linker here that could find it.`,
        'Put the code that defines it into this source with %include.',
        column,
        name.length,
      );
    throw new AssemblyError(`The symbol "${name}" is not defined.`, hintForName(name, this.namesLike(name)), column, name.length);
  }

  /** The symbols of the program, as they are written here; of a local label only those of the same label. */
  private namesLike(name: string): Set<string> {
    const all = [...this.symbols.keys(), ...this.previous.keys()];
    if (!name.startsWith('.')) return new Set(all);
    return new Set(all.filter((full) => full.startsWith(`${this.parent}.`)).map((full) => full.slice(this.parent.length)));
  }

  private position(offset: number): Value {
    if (this.absolute) return { number: this.absolute.base.number + BigInt(offset), section: this.absolute.base.section };
    return { number: this.section.start + BigInt(offset), section: this.section.name };
  }

  /** Bytes so far in the section, or under `absolute`. */
  get offset(): number {
    return this.absolute ? this.absolute.offset : this.section.size;
  }

  define(statement: Statement, name: string, value: Value, kind: AssembledSymbol['kind']): void {
    const full = this.fullName(name);
    const old = this.symbols.get(full);
    if (old) {
      const { path, line } = old.statement.place;
      throw new AssemblyError(
        `"${name}" is defined already, at ${path}:${line}.`,
        'Give one of them another name, or make it local with a leading dot.',
        statement.labelColumn,
        name.length,
      );
    }
    this.symbols.set(full, { name: full, value, kind, statement });
    if (!name.startsWith('.') && kind !== 'equ') this.parent = name;
  }

  expression(tokens: readonly Token[]): Value {
    const parser = new ExpressionParser(tokens, 0, this.scope);
    const value = parser.parse();
    if (parser.at < tokens.length)
      throw new AssemblyError('Something is left over after this expression.', undefined, tokens[parser.at]?.column);
    return value;
  }

  /** An expression that must be a number known at this place. */
  constant(tokens: readonly Token[], what: string): number {
    const value = this.expression(tokens);
    if (value.section !== undefined && !value.unknown)
      throw new AssemblyError(`${what} must be a number, not an address.`, undefined, tokens[0]?.column);
    if (value.unknown) return 0;
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
      if (statement.orphan !== undefined)
        this.warn(
          `"${label}" is taken for a label; write a colon behind it if it is one. ${statement.orphan}`.trim(),
          statement.labelColumn,
        );
      if (statement.prefixes.length > 0) this.emit(Uint8Array.from(prefixBytes(statement.prefixes, this.bits)));
      return;
    }
    const { section } = this;
    const start = this.offset;
    this.repeated(statement, word, statement.times ? this.constant(statement.times, 'The count of TIMES') : 1);
    if (!this.absolute && this.offset > start && section === this.section) {
      const isCode = !directives.has(word) && !/^(d|res)[bwdqto]$/.test(word);
      this.lines.push({ statement, section: section.name, offset: start, length: this.offset - start, isCode });
    }
  }

  private repeated(statement: Statement, word: string, count: number): void {
    if (count === 0) return;
    const start = this.section.size;
    this.once(statement, word);
    if (count === 1) return;
    // What depends on no symbol is the same each time.
    const isConstant = statement.operands.every((token) => token.kind !== 'name' && token.kind !== 'operator');
    if (isConstant && !this.absolute && !this.section.noBits && this.section.size > start) {
      this.section.repeat(this.section.bytes.slice(start), count - 1);
      return;
    }
    for (let index = 1; index < count; index++) {
      this.spend();
      this.once(statement, word);
    }
  }

  /** Counts a repetition; ends a source that would run for minutes. */
  spend(): void {
    if (++this.repetitions > MAX_REPETITIONS)
      throw new AssemblyError(
        `TIMES and DUP repeat more than ${MAX_REPETITIONS} times in all.`,
        'Reserve room with RESB, or read it from a file with INCBIN.',
      );
  }

  /** A data directive, another directive, or an instruction. */
  private once(statement: Statement, word: string): void {
    if (emitData(this, statement.operands, word)) return;
    const directive = directives.get(word);
    if (directive) directive(this, statement);
    else this.instruction(statement, word);
  }

  emit(bytes: Uint8Array): void {
    if (this.absolute)
      throw new AssemblyError(
        'Code and data need a section; this is an absolute one.',
        'Only labels and RES directives stand under `absolute` and in `struc`.',
      );
    if (this.section.noBits)
      throw new AssemblyError(`The section ${this.section.name} holds no bytes.`, 'Use RES directives here, or another section.');
    this.section.append(bytes);
  }

  reserve(count: number): void {
    if (this.absolute) this.absolute.offset += count;
    else this.section.reserve(count);
  }

  /** The content of a file beside the source, read once. */
  binary(statement: Statement, name: string): Uint8Array {
    const path = this.files.resolve(statement.place.path, name);
    const known = this.incbins.get(path);
    if (known) return known;
    const bytes = this.files.read(path);
    this.incbins.set(path, bytes);
    return bytes;
  }

  private instruction(statement: Statement, word: string): void {
    const { bits: mode, section } = this;
    const operands = parseOperands(statement.operands, { mode, defaultRelative: this.defaultRelative, scope: this.scope });
    const address = this.absolute ? 0n : section.start + BigInt(section.size);
    const isBranch = /^(j|call|loop|xbegin)/.test(word);
    const [target] = operands;
    const isPlainJump = isBranch && target?.type === 'immediate' && target.distance === undefined;
    // Where a jump leads isn't known in the first pass: hope for the short form.
    if (isBranch && target?.type === 'immediate' && target.value.unknown && target.distance !== 'far') {
      const isShort = target.distance === 'short' || (isPlainJump && !word.startsWith('call') && word !== 'xbegin');
      this.emit(new Uint8Array(prefixBytes(statement.prefixes, mode).length + (isShort ? 2 : mode === 16 ? 3 : 5)));
      return;
    }
    // A jump to a number instead of a label is near in any case, as with nasm.
    const toNumber = isPlainJump && word.startsWith('j') && target.value.section === undefined && !/^j[er]?cxz$/.test(word);
    const near = this.nearJumps.has(statement) || toNumber;
    const signature = signatureOf(operands, mode, near, isBranch, address);
    let bytes = this.final ? undefined : this.recall(statement, signature);
    if (!bytes) {
      bytes = encodeInstruction({
        mnemonic: word,
        prefixes: prefixBytes(statement.prefixes, mode),
        operands,
        mode,
        address,
        near,
        rexW: statement.prefixes.includes('o64'),
        form: statement.form,
        warn: (message) => this.warn(message),
      });
      this.remembered.set(statement, { signature, bytes });
    }
    // Jumps may change back and forth between passes; later ones stay near, so that the passes come to an end.
    const isLong = bytes.length - prefixBytes(statement.prefixes, mode).length > 2;
    if (isPlainJump && isLong && this.passes > FREE_PASSES) this.nearJumps.add(statement);
    this.emit(bytes);
  }

  private recall(statement: Statement, signature: string): Uint8Array | undefined {
    const known = this.remembered.get(statement);
    return known?.signature === signature ? known.bytes : undefined;
  }
}

/** All that the bytes of a statement depend on beside its text. Branches and relative addresses depend on distances alone. */
function signatureOf(operands: readonly Operand[], mode: number, near: boolean, isBranch: boolean, address: bigint): string {
  const parts: (string | bigint)[] = [`${mode}${near}`];
  for (const operand of operands) {
    if (operand.type === 'immediate') parts.push(valueText(operand.value, isBranch ? address : 0n));
    else if (operand.type === 'memory' && operand.displacement)
      parts.push(valueText(operand.displacement, operand.relative ? address : 0n), `${operand.relative}`);
    else if (operand.type === 'far') parts.push(valueText(operand.selector, 0n), valueText(operand.offset, 0n));
  }
  return parts.join();
}

const valueText = ({ number, section, unknown }: Value, from: bigint): string =>
  `${number - from}${section === undefined ? '' : 's'}${unknown ? 'u' : ''}`;
