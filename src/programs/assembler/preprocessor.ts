import type { FileAccess } from '../program.ts';
import { ProgramError } from '../program.ts';
import { AssemblyError, type Diagnostic, type SourcePlace } from './diagnostic.ts';
import { ExpressionParser } from './expression.ts';
import { stripComment, tokenize } from './lexer.ts';

/** A line after preprocessing, with the place that it belongs to: a macro's lines belong to where it was called. */
export interface SourceText {
  readonly text: string;
  readonly place: SourcePlace;
}

/** Where the preprocessor found a definition or a use, for the language server. */
export interface PreprocessorSymbol {
  readonly name: string;
  readonly kind: 'define' | 'macro';
  readonly place: SourcePlace;
  readonly column: number;
}

const MAX_DEPTH = 64;
const MAX_LINES = 1_000_000;
const MAX_EXPANSIONS = 10_000;
const NAME = /[A-Za-z_?.@][A-Za-z0-9_$#@~.?]*/;

interface Define {
  readonly parameters?: readonly string[];
  readonly body: string;
}

interface Macro {
  readonly name: string;
  readonly minimum: number;
  readonly maximum: number;
  readonly greedy: boolean;
  readonly defaults: readonly string[];
  readonly lines: readonly SourceText[];
}

interface Condition {
  /** Lines are taken. */
  active: boolean;
  /** Some branch was taken already. */
  done: boolean;
  readonly outer: boolean;
}

/** Splits arguments at commas outside strings, brackets and braces. */
function splitArguments(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = '';
  let current = '';
  for (const character of text) {
    if (quote) {
      if (character === quote) quote = '';
    } else if (character === '"' || character === "'" || character === '`') quote = character;
    else if ('([{'.includes(character)) depth++;
    else if (')]}'.includes(character)) depth--;
    if (character === ',' && depth === 0 && !quote) {
      parts.push(current.trim());
      current = '';
    } else current += character;
  }
  if (current.trim() !== '' || parts.length > 0) parts.push(current.trim());
  return parts.map((part) => (part.startsWith('{') && part.endsWith('}') ? part.slice(1, -1) : part));
}

/**
 * NASM's preprocessor: %define, %assign, %macro, %rep, %if, %include and their kin. It works on lines before anything is
 * assembled, so it knows numbers and its own names, but no labels.
 */
export class Preprocessor {
  readonly diagnostics: Diagnostic[] = [];
  readonly symbols: PreprocessorSymbol[] = [];
  readonly includes: { readonly path: string; readonly place: SourcePlace }[] = [];
  private readonly defines = new Map<string, Define>();
  private readonly macros = new Map<string, Macro[]>();
  private readonly output: SourceText[] = [];
  private unique = 0;
  private expansions = 0;
  private full = false;

  constructor(private readonly files: FileAccess) {
    this.defines.set('__OUTPUT_FORMAT__', { body: 'bin' });
  }

  /** Reads a source with all that it includes. Errors are collected; what could be read is returned. */
  run(path: string): readonly SourceText[] {
    this.file(path, { path, line: 1 }, 0);
    return this.output;
  }

  private report(place: SourcePlace, error: unknown): void {
    if (!(error instanceof AssemblyError) && !(error instanceof ProgramError)) throw error;
    const { column = 1, length = 1, hint } = error instanceof AssemblyError ? error : {};
    this.diagnostics.push({ ...place, column, length, severity: 'error', message: error.message, hint });
  }

  private file(path: string, place: SourcePlace, depth: number): void {
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
    void place;
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
    const conditions: Condition[] = [];
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
    if (conditions.length > 0) {
      const last = lines.at(-1);
      if (last) this.report(last.place, new AssemblyError('An %if has no %endif.', 'Add %endif.'));
    }
  }

  /** Set by %exitrep until the loop is left. */
  private leaving = false;

  /** Handles the line at an index; returns the index of the last line that it took. */
  private line(lines: readonly SourceText[], index: number, conditions: Condition[], depth: number): number {
    const line = lines[index];
    if (!line) return index;
    const active = conditions.every((condition) => condition.active);
    const directive = /^\s*%\s*([a-z]+)\b\s*(.*)$/i.exec(line.text);
    const word = directive?.[1]?.toLowerCase() ?? '';
    const rest = directive?.[2]?.trim() ?? '';
    if (this.condition(word, rest, conditions, active)) return index;
    const isBlock = word === 'macro' || word === 'imacro' || word === 'rep';
    if (!active) return isBlock ? this.blockEnd(lines, index, word) : index;
    if (isBlock) {
      const end = this.blockEnd(lines, index, word);
      const body = lines.slice(index + 1, end);
      if (word === 'rep') this.repeat(rest, body, depth);
      else this.defineMacro(rest, body, line);
      return end;
    }
    if (directive && this.directive(word, rest, line, depth)) return index;
    this.plain(line, depth);
    return index;
  }

  private blockEnd(lines: readonly SourceText[], start: number, word: string): number {
    const [opening, closing] = word === 'rep' ? [/^\s*%rep\b/i, /^\s*%endrep\b/i] : [/^\s*%i?macro\b/i, /^\s*%endm(acro)?\b/i];
    let depth = 0;
    for (let index = start; index < lines.length; index++) {
      const text = lines[index]?.text ?? '';
      if (opening.test(text)) depth++;
      else if (closing.test(text) && --depth === 0) return index;
    }
    throw new AssemblyError(`This %${word} has no end.`, word === 'rep' ? 'Add %endrep.' : 'Add %endmacro.');
  }

  private condition(word: string, rest: string, conditions: Condition[], active: boolean): boolean {
    const test = /^(if|elif)(n?)(def|macro|idni?|num|id|str|empty|token)?$/.exec(word);
    if (test) {
      const evaluate = () => this.test(test[3] ?? '', rest) !== (test[2] === 'n');
      if (test[1] === 'if') {
        const value = active && evaluate();
        conditions.push({ active: value, done: value, outer: active });
        return true;
      }
      const top = conditions.at(-1);
      if (!top) throw new AssemblyError('An %elif stands without its %if.');
      top.active = top.outer && !top.done && evaluate();
      top.done ||= top.active;
      return true;
    }
    if (word === 'else') {
      const top = conditions.at(-1);
      if (!top) throw new AssemblyError('An %else stands without its %if.');
      top.active = top.outer && !top.done;
      top.done = true;
      return true;
    }
    if (word === 'endif') {
      if (!conditions.pop())
        throw new AssemblyError('An %endif stands without its %if.', 'Remove it, or look for an %if that is ended twice.');
      return true;
    }
    return false;
  }

  private test(kind: string, rest: string): boolean {
    switch (kind) {
      case 'def':
        return rest.split(/\s+/).some((name) => this.defines.has(name));
      case 'macro':
        return this.macros.has((NAME.exec(rest)?.[0] ?? '').toLowerCase());
      case 'idn':
      case 'idni': {
        const [a = '', b = ''] = splitArguments(this.expand(rest));
        return kind === 'idn' ? a === b : a.toLowerCase() === b.toLowerCase();
      }
      case 'num':
        return tokenize(this.expand(rest)).every((token) => token.kind === 'number' || token.kind === 'operator') && rest !== '';
      case 'id':
        return new RegExp(`^${NAME.source}$`).test(this.expand(rest).trim());
      case 'str':
        return /^(['"`]).*\1$/.test(this.expand(rest).trim());
      case 'empty':
        return this.expand(rest).trim() === '';
      case 'token':
        return tokenize(this.expand(rest)).length === 1;
      default:
        return this.evaluate(rest) !== 0n;
    }
  }

  /** A number that is known now. */
  private evaluate(text: string): bigint {
    const tokens = tokenize(this.expand(text));
    const refuse = (name: string, column: number): never => {
      throw new AssemblyError(
        `"${name}" is not known to the preprocessor.`,
        'Only numbers and %define and %assign names can be used here, no labels.',
        column,
        name.length,
      );
    };
    const parser = new ExpressionParser(tokens, 0, {
      symbol: refuse,
      here: () => refuse('$', 1),
      sectionStart: () => refuse('$$', 1),
    });
    const value = parser.parse();
    if (parser.at < tokens.length)
      throw new AssemblyError('Something is left over after this expression.', undefined, tokens[parser.at]?.column);
    return value.number;
  }

  private directive(word: string, rest: string, line: SourceText, depth: number): boolean {
    switch (word) {
      case 'define':
      case 'idefine':
      case 'xdefine':
      case 'ixdefine':
        this.define(rest, line, word.includes('x'));
        return true;
      case 'assign':
      case 'iassign': {
        const [name = '', ...expression] = rest.split(/\s+/);
        this.remember(name, 'define', line);
        this.defines.set(name, { body: this.evaluate(expression.join(' ')).toString() });
        return true;
      }
      case 'undef':
        for (const name of rest.split(/\s+/)) this.defines.delete(name);
        return true;
      case 'unmacro':
        this.macros.delete((NAME.exec(rest)?.[0] ?? '').toLowerCase());
        return true;
      case 'strlen': {
        const [name = '', text = ''] = [rest.split(/\s+/)[0], rest.replace(/^\S+\s*/, '')];
        const token = tokenize(this.expand(text))[0];
        this.defines.set(name, { body: String(token?.kind === 'string' ? token.bytes.length : 0) });
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
        this.defines.set(name, { body: `'${text.slice(1, -1).slice(start - 1, end - 1)}'` });
        return true;
      }
      case 'include': {
        const name = this.expand(rest)
          .trim()
          .replace(/^(['"`])(.*)\1$/, '$2');
        const path = this.files.resolve(line.place.path, name);
        if (!this.files.exists(path))
          throw new AssemblyError(`The included file ${name} doesn't exist.`, `It was looked for at ${path}.`);
        this.includes.push({ path, place: line.place });
        this.file(path, line.place, depth + 1);
        return true;
      }
      case 'exitrep':
        this.leaving = true;
        return true;
      case 'error':
      case 'fatal':
        throw new AssemblyError(this.expand(rest).replace(/^(['"`])(.*)\1$/, '$2') || 'The source asks for an error here.');
      case 'warning':
        this.diagnostics.push({
          ...line.place,
          column: 1,
          length: 1,
          severity: 'warning',
          message: this.expand(rest).replace(/^(['"`])(.*)\1$/, '$2'),
        });
        return true;
      case 'rotate':
      case 'endmacro':
      case 'endrep':
        throw new AssemblyError(`%${word} has nothing to belong to here.`);
      case 'push':
      case 'pop':
      case 'line':
      case 'use':
      case 'pragma':
        return true;
      default:
        return false;
    }
  }

  private remember(name: string, kind: PreprocessorSymbol['kind'], line: SourceText): void {
    if (!new RegExp(`^${NAME.source}$`).test(name))
      throw new AssemblyError('A name is missing here.', 'For example: %define SIZE 16');
    this.symbols.push({ name, kind, place: line.place, column: line.text.indexOf(name) + 1 });
  }

  private define(rest: string, line: SourceText, now: boolean): void {
    const parsed = new RegExp(`^(${NAME.source})(\\(([^)]*)\\))?\\s*(.*)$`).exec(rest);
    const name = parsed?.[1] ?? '';
    this.remember(name, 'define', line);
    const body = parsed?.[4] ?? '';
    const parameters = parsed?.[3]
      ?.split(',')
      .map((parameter) => parameter.trim().replace(/^=/, ''))
      .filter((parameter) => parameter !== '');
    this.defines.set(name, {
      parameters: parsed?.[2] === undefined ? undefined : (parameters ?? []),
      body: now ? this.expand(body) : body,
    });
  }

  private defineMacro(rest: string, lines: readonly SourceText[], line: SourceText): void {
    const parsed = new RegExp(`^(${NAME.source})\\s*(?:(\\d+)(?:-(\\d+|\\*))?(\\+)?)?(?:\\s*\\.nolist)?\\s*(.*)$`).exec(rest);
    const name = parsed?.[1] ?? '';
    this.remember(name, 'macro', line);
    const minimum = Number(parsed?.[2] ?? 0);
    const upper = parsed?.[3];
    const macro: Macro = {
      name,
      minimum,
      maximum: upper === undefined ? minimum : upper === '*' ? Number.MAX_SAFE_INTEGER : Number(upper),
      greedy: parsed?.[4] !== undefined,
      defaults: splitArguments(parsed?.[5] ?? ''),
      lines,
    };
    const key = name.toLowerCase();
    this.macros.set(key, [macro, ...(this.macros.get(key) ?? [])]);
  }

  private repeat(rest: string, body: readonly SourceText[], depth: number): void {
    const count = this.evaluate(rest);
    if (count < 0n || count > BigInt(MAX_LINES))
      throw new AssemblyError(`%rep can't repeat ${count} times.`, `At most ${MAX_LINES} times.`);
    for (let pass = 0n; pass < count && !this.leaving && !this.full; pass++) this.lines(body, depth + 1);
    this.leaving = false;
  }

  private plain(line: SourceText, depth: number): void {
    const call = this.macroCall(line.text);
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
    const id = ++this.unique;
    let parameters = call.values;
    const lines = call.macro.lines.flatMap((body): SourceText[] => {
      const rotation = /^\s*%rotate\s+(.*)$/i.exec(body.text);
      if (rotation?.[1] !== undefined && !/%(rep|if)/.test(body.text)) {
        const by = Number(this.evaluate(substitute(rotation[1], parameters, id)));
        const count = parameters.length || 1;
        const shift = ((by % count) + count) % count;
        parameters = [...parameters.slice(shift), ...parameters.slice(0, shift)];
        return [];
      }
      return [{ text: substitute(body.text, parameters, id), place: line.place }];
    });
    this.lines(this.unrollRotations(lines, call, id), depth + 1);
  }

  /** Lines of a macro whose loop rotates its parameters are unrolled here, since each pass sees others. */
  private unrollRotations(
    lines: readonly SourceText[],
    call: { macro: Macro; values: readonly string[] },
    id: number,
  ): readonly SourceText[] {
    const hasLoop =
      call.macro.lines.some(({ text }) => /^\s*%rotate/i.test(text)) &&
      call.macro.lines.some(({ text }) => /^\s*%rep\b/i.test(text));
    if (!hasLoop) return lines;
    const result: SourceText[] = [];
    let parameters = [...call.values];
    const place = lines[0]?.place;
    const visit = (body: readonly SourceText[]): void => {
      for (let index = 0; index < body.length; index++) {
        const text = body[index]?.text ?? '';
        const loop = /^\s*%rep\s+(.*)$/i.exec(text);
        const rotation = /^\s*%rotate\s+(.*)$/i.exec(text);
        if (loop?.[1] !== undefined) {
          const end = this.blockEnd(body, index, 'rep');
          const count = Number(this.evaluate(substitute(loop[1], parameters, id)));
          for (let pass = 0; pass < Math.min(count, MAX_LINES) && result.length < MAX_LINES; pass++)
            visit(body.slice(index + 1, end));
          index = end;
        } else if (rotation?.[1] !== undefined) {
          const by = Number(this.evaluate(substitute(rotation[1], parameters, id)));
          const count = parameters.length || 1;
          const shift = ((by % count) + count) % count;
          parameters = [...parameters.slice(shift), ...parameters.slice(0, shift)];
        } else if (place) result.push({ text: substitute(text, parameters, id), place });
      }
    };
    visit(call.macro.lines);
    return result;
  }

  private macroCall(text: string): { macro: Macro; values: readonly string[]; label: string } | undefined {
    const parsed = new RegExp(`^\\s*((?:${NAME.source}\\s*:)?)\\s*(${NAME.source})(?:\\s+(.*))?$`).exec(text);
    const overloads = this.macros.get((parsed?.[2] ?? '').toLowerCase());
    if (!parsed || !overloads) return undefined;
    const all = splitArguments(this.expand(parsed[3] ?? ''));
    for (const macro of overloads) {
      let values = all;
      if (macro.greedy && values.length > macro.maximum && macro.maximum > 0)
        values = [...values.slice(0, macro.maximum - 1), values.slice(macro.maximum - 1).join(',')];
      if (values.length < macro.minimum || values.length > macro.maximum) continue;
      if (++this.expansions > MAX_EXPANSIONS * 10)
        throw new AssemblyError('Macros are expanded without end.', 'Give their recursion an end with %if.');
      const defaults = macro.defaults.slice(values.length - macro.minimum);
      const limit = Math.min(macro.maximum, macro.minimum + macro.defaults.length);
      return { macro, values: [...values, ...defaults].slice(0, Math.max(values.length, limit)), label: parsed[1] ?? '' };
    }
    throw new AssemblyError(`The macro ${parsed[2]} doesn't take ${all.length} parameter${all.length === 1 ? '' : 's'}.`);
  }

  /** Replaces names of %define until nothing changes; a name isn't replaced inside its own expansion. */
  expand(text: string, hidden: ReadonlySet<string> = new Set(), depth = 0): string {
    if (depth > MAX_DEPTH || !NAME.test(text)) return text;
    let result = '';
    let at = 0;
    while (at < text.length) {
      const rest = text.slice(at);
      const string = /^(['"])(?:(?!\1).)*\1?|^`(?:\\.|[^`\\])*`?/.exec(rest);
      const number = /^\$?[0-9][0-9A-Za-z_.$]*/.exec(rest);
      const name = new RegExp(`^${NAME.source}`).exec(rest);
      const taken = string ?? number ?? name;
      if (!taken) {
        const join = /^%\+/.exec(rest);
        if (join) result = result.trimEnd();
        else result += rest[0] ?? '';
        at += join ? join[0].length + (/^\s*/.exec(rest.slice(2))?.[0].length ?? 0) : 1;
        continue;
      }
      at += taken[0].length;
      const define = taken === name && taken[0] !== undefined && !hidden.has(taken[0]) ? this.defines.get(taken[0]) : undefined;
      if (!define || taken !== name) {
        result += taken[0];
        continue;
      }
      let { body } = define;
      if (define.parameters) {
        const close = matchingParenthesis(text, at);
        if (close === undefined) {
          result += taken[0];
          continue;
        }
        const values = splitArguments(text.slice(text.indexOf('(', at) + 1, close));
        at = close + 1;
        define.parameters.forEach((parameter, index) => {
          body = body.replaceAll(
            new RegExp(`(?<![A-Za-z0-9_.$@?#~])${parameter.replaceAll('$', '\\$')}(?![A-Za-z0-9_.$@?#~])`, 'g'),
            () => values[index] ?? '',
          );
        });
      }
      if (++this.expansions > MAX_EXPANSIONS * 100)
        throw new AssemblyError('Definitions are expanded without end.', 'Two %define may contain each other.');
      result += this.expand(body, new Set([...hidden, taken[0]]), depth + 1);
      if (result.length > 100_000) throw new AssemblyError('This line becomes too long when its definitions are expanded.');
    }
    return result;
  }
}

function matchingParenthesis(text: string, from: number): number | undefined {
  const start = /^\s*\(/.exec(text.slice(from));
  if (!start) return undefined;
  let depth = 0;
  for (let index = from; index < text.length; index++) {
    if (text[index] === '(') depth++;
    else if (text[index] === ')' && --depth === 0) return index;
  }
  return undefined;
}

/** Puts parameters into a macro's line: %1, %{1}, %0, %%label, %-1 (inverted condition is left out), %1-last ranges. */
function substitute(text: string, values: readonly string[], id: number): string {
  return text.replaceAll(
    /%(?:\{(\d+|%[A-Za-z_][\w.]*)\}|(\d+)|%([A-Za-z_][\w.]*)|\{-1:-?(\d+)\})/g,
    (_whole, braced?: string, plain?: string, local?: string) => {
      if (local !== undefined) return `..@${id}.${local}`;
      if (braced?.startsWith('%')) return `..@${id}.${braced.slice(1)}`;
      const number = Number(braced ?? plain ?? 0);
      return number === 0 ? String(values.length) : (values[number - 1] ?? '');
    },
  );
}
