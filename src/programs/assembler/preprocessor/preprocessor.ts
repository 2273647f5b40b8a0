import type { FileAccess } from '../../program.ts';
import { ProgramError } from '../../program.ts';
import { AssemblyError, type Diagnostic, type SourcePlace } from '../diagnostic.ts';
import { stripComment, tokenize } from '../lexer.ts';
import { NAME, splitArguments, unquoted, WHOLE_NAME } from './arguments.ts';
import { Conditions } from './conditions.ts';
import { Contexts } from './contexts.ts';
import { Definitions, missingName } from './definitions.ts';
import { Macros } from './macros.ts';
import { blockEnd, MAX_LINES, type SourceText } from './source-text.ts';

/** Where the preprocessor found a definition or a use, for the language server. */
export interface PreprocessorSymbol {
  readonly name: string;
  readonly kind: 'define' | 'macro';
  readonly place: SourcePlace;
  readonly column: number;
}

const MAX_DEPTH = 64;

/**
 * NASM's preprocessor: %define, %assign, %macro, %rep, %if, %include and their kin. It works on lines before anything is
 * assembled, so it knows numbers and its own names, but no labels.
 */
export class Preprocessor {
  readonly diagnostics: Diagnostic[] = [];
  readonly symbols: PreprocessorSymbol[] = [];
  readonly includes: { readonly path: string; readonly place: SourcePlace }[] = [];
  private readonly definitions = new Definitions();
  private readonly macros = new Macros(this.definitions);
  private readonly contexts = new Contexts();
  private readonly output: SourceText[] = [];
  private full = false;

  constructor(private readonly files: FileAccess) {
    this.definitions.set('__OUTPUT_FORMAT__', 'bin');
  }

  /** Reads a source with all that it includes. Errors are collected; what could be read is returned. */
  run(path: string): readonly SourceText[] {
    this.file(path, 0);
    return this.output;
  }

  private report(place: SourcePlace, error: unknown): void {
    if (!(error instanceof AssemblyError) && !(error instanceof ProgramError)) throw error;
    const { column = 1, length = 1, hint } = error instanceof AssemblyError ? error : {};
    this.diagnostics.push({ ...place, column, length, severity: 'error', message: error.message, hint });
  }

  private file(path: string, depth: number): void {
    if (depth > MAX_DEPTH)
      throw new AssemblyError(`Files include each other more than ${MAX_DEPTH} deep.`, 'Guard the file with %ifndef.');
    const text = new TextDecoder().decode(this.files.read(path));
    const lines: SourceText[] = [];
    const raw = text.split(/\r?\n/);
    for (let index = 0; index < raw.length; index++) {
      const line = index + 1;
      let joined = stripComment(raw[index] ?? '');
      while (joined.endsWith('\\') && index + 1 < raw.length) joined = joined.slice(0, -1) + stripComment(raw[++index] ?? '');
      lines.push({ text: joined, place: { path, line } });
    }
    this.lines(lines, depth);
  }

  private emit(line: SourceText): void {
    if (this.output.length >= MAX_LINES) {
      if (!this.full)
        this.report(line.place, new AssemblyError(`The source grows beyond ${MAX_LINES} lines.`, 'Look at its %rep and %macro.'));
      this.full = true;
    } else this.output.push(line);
  }

  private lines(lines: readonly SourceText[], depth: number): void {
    const conditions = new Conditions((kind, rest) => this.test(kind, rest));
    for (let index = 0; index < lines.length && !this.full; index++) {
      const line = lines[index];
      if (!line) break;
      try {
        index = this.line(lines, index, conditions, depth);
      } catch (error) {
        this.report(line.place, error);
        if (/^\s*%(exitrep|error|fatal)/.test(line.text)) return;
      }
      if (this.leaving) return;
    }
    if (conditions.isOpen) {
      const last = lines.at(-1);
      if (last) this.report(last.place, new AssemblyError('An %if has no %endif.', 'Add %endif.'));
    }
  }

  /** Set by %exitrep until the loop is left. */
  private leaving = false;

  /** Handles the line at an index; returns the index of the last line that it took. */
  private line(lines: readonly SourceText[], index: number, conditions: Conditions, depth: number): number {
    const raw = lines[index];
    if (!raw) return index;
    const line = conditions.active ? { text: this.contexts.rename(raw.text), place: raw.place } : raw;
    const directive = /^\s*%\s*([a-z]+)\b\s*(.*)$/i.exec(line.text);
    const word = directive?.[1]?.toLowerCase() ?? '';
    const rest = directive?.[2]?.trim() ?? '';
    if (conditions.take(word, rest)) return index;
    const isBlock = word === 'macro' || word === 'imacro' || word === 'rep';
    if (!conditions.active) return isBlock ? blockEnd(lines, index, word) : index;
    if (isBlock) {
      const end = blockEnd(lines, index, word);
      const body = lines.slice(index + 1, end);
      if (word === 'rep') this.repeat(rest, body, depth);
      else this.remember(this.macros.define(rest, body), 'macro', line);
      return end;
    }
    if (directive && this.directive(word, rest, line, depth)) return index;
    this.plain(line, depth);
    return index;
  }

  private test(kind: string, rest: string): boolean {
    switch (kind) {
      case 'def':
        return rest.split(/\s+/).some((name) => this.definitions.has(name));
      case 'macro':
        return this.macros.has(NAME.exec(rest)?.[0] ?? '');
      case 'ctx':
        return this.contexts.isOnTop(rest.split(/\s+/));
      case 'idn':
      case 'idni': {
        const [a = '', b = ''] = splitArguments(this.expand(rest));
        return kind === 'idn' ? a === b : a.toLowerCase() === b.toLowerCase();
      }
      case 'num':
        return tokenize(this.expand(rest)).every((token) => token.kind === 'number' || token.kind === 'operator') && rest !== '';
      case 'id':
        return WHOLE_NAME.test(this.expand(rest).trim());
      case 'str':
        return /^(['"`]).*\1$/.test(this.expand(rest).trim());
      case 'empty':
        return this.expand(rest).trim() === '';
      case 'token':
        return tokenize(this.expand(rest)).length === 1;
      default:
        return this.definitions.evaluate(rest) !== 0n;
    }
  }

  private directive(word: string, rest: string, line: SourceText, depth: number): boolean {
    switch (word) {
      case 'define':
      case 'idefine':
      case 'xdefine':
      case 'ixdefine':
        this.remember(this.definitions.define(rest, word.includes('x')), 'define', line);
        return true;
      case 'assign':
      case 'iassign': {
        const [name = '', ...expression] = rest.split(/\s+/);
        this.remember(name, 'define', line);
        this.definitions.set(name, this.definitions.evaluate(expression.join(' ')).toString());
        return true;
      }
      case 'undef':
        for (const name of rest.split(/\s+/)) this.definitions.delete(name);
        return true;
      case 'unmacro':
        this.macros.delete(NAME.exec(rest)?.[0] ?? '');
        return true;
      case 'strlen': {
        const [name = '', text = ''] = [rest.split(/\s+/)[0], rest.replace(/^\S+\s*/, '')];
        const token = tokenize(this.expand(text))[0];
        this.definitions.set(name, String(token?.kind === 'string' ? token.bytes.length : 0));
        return true;
      }
      case 'substr': {
        const [name = ''] = rest.split(/\s+/);
        const [text = '', ...numbers] =
          this.expand(rest.replace(/^\S+\s*/, ''))
            .trim()
            .match(/(['"`]).*?\1|[^\s,]+/g) ?? [];
        const [start = 1, length = 1] = numbers.map(Number);
        const end = length < 0 ? text.length + length : start + length;
        this.definitions.set(name, `'${text.slice(1, -1).slice(start - 1, end - 1)}'`);
        return true;
      }
      case 'strcat': {
        const [name = ''] = rest.split(/\s+/);
        this.remember(name, 'define', line);
        const pieces = splitArguments(this.expand(rest.replace(/^\S+\s*/, '')));
        this.definitions.set(name, `'${pieces.map(unquoted).join('')}'`);
        return true;
      }
      case 'include': {
        const name = unquoted(this.expand(rest));
        const path = this.files.resolve(line.place.path, name);
        if (!this.files.exists(path))
          throw new AssemblyError(`The included file ${name} doesn't exist.`, `It was looked for at ${path}.`);
        this.includes.push({ path, place: line.place });
        this.file(path, depth + 1);
        return true;
      }
      case 'exitrep':
        this.leaving = true;
        return true;
      case 'error':
      case 'fatal':
        throw new AssemblyError(unquoted(this.expand(rest)) || 'The source asks for an error here.');
      case 'warning':
        this.diagnostics.push({
          ...line.place,
          column: 1,
          length: 1,
          severity: 'warning',
          message: unquoted(this.expand(rest)),
        });
        return true;
      case 'rotate':
      case 'endmacro':
      case 'endrep':
        throw new AssemblyError(`%${word} has nothing to belong to here.`);
      case 'push':
        this.contexts.push(rest);
        return true;
      case 'pop':
        this.contexts.pop(rest);
        return true;
      case 'line':
      case 'use':
      case 'pragma':
        return true;
      default:
        return false;
    }
  }

  private remember(name: string, kind: PreprocessorSymbol['kind'], line: SourceText): void {
    if (!WHOLE_NAME.test(name)) throw missingName();
    this.symbols.push({ name, kind, place: line.place, column: line.text.indexOf(name) + 1 });
  }

  private repeat(rest: string, body: readonly SourceText[], depth: number): void {
    const count = this.definitions.evaluate(rest);
    if (count < 0n || count > BigInt(MAX_LINES))
      throw new AssemblyError(`%rep can't repeat ${count} times.`, `At most ${MAX_LINES} times.`);
    for (let pass = 0n; pass < count && !this.leaving && !this.full; pass++) this.lines(body, depth + 1);
    this.leaving = false;
  }

  private plain(line: SourceText, depth: number): void {
    const call = this.macros.callIn(line.text);
    if (!call) {
      this.emit({ text: this.expand(line.text), place: line.place });
      return;
    }
    if (depth > MAX_DEPTH)
      throw new AssemblyError(
        `The macro ${call.macro.name} calls itself more than ${MAX_DEPTH} deep.`,
        'Give the recursion an end with %if.',
      );
    if (call.label !== '') this.emit({ text: call.label, place: line.place });
    this.lines(this.macros.linesOf(call, line.place), depth + 1);
  }

  /** A text with the program's definitions in it. */
  expand(text: string): string {
    return this.definitions.expand(text);
  }
}
