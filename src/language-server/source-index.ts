import type { Range } from 'vscode-languageserver';
import { stripComment } from '../programs/assembler/lexer.ts';

export type DefinitionKind = 'label' | 'local' | 'constant' | 'structure' | 'member' | 'macro' | 'define' | 'external';

/** One place where a name stands. */
export interface Occurrence {
  /** The name in full: a local label has its parent's name in front, a macro's own label has the macro's. */
  readonly key: string;
  readonly range: Range;
  /** Undefined where the name is only used. */
  readonly definition?: DefinitionKind;
}

/** A stretch of lines that can be folded, and for structures and macros what an outline shows. Lines count from 0, inclusive. */
export interface Block {
  readonly kind: 'macro' | 'structure' | 'condition' | 'repetition' | 'comment' | 'function' | 'section';
  readonly firstLine: number;
  readonly lastLine: number;
  readonly name?: string;
}

export interface SectionMark {
  readonly name: string;
  readonly range: Range;
}

/** What one source says about names, found line by line, so that it holds while the source is half written. */
export interface SourceIndex {
  readonly lines: readonly string[];
  readonly occurrences: readonly Occurrence[];
  readonly blocks: readonly Block[];
  readonly sections: readonly SectionMark[];
  /** Paths as %include has them. */
  readonly includes: readonly { readonly path: string; readonly range: Range }[];
}

const DATA = 'd[bwdqto]|res[bwdqto]';
const LABEL_WITH_COLON = /^\s*([A-Za-z_?.@][\w$#@~.?]*)\s*:/;
const LABEL_BEFORE_DATA = new RegExp(`^\\s*([A-Za-z_?.@][\\w$#@~.?]*)\\s+(?:times\\s+.*\\s)?(?:${DATA}|incbin|istruc)\\b`, 'i');
const MACRO_LABEL = /^\s*(%%[\w$#@~.?]+)\s*:?/;
const LABEL_ALONE = /^\s*(\.[\w$#@~.?]+)\s*$/;
const CONSTANT = /^\s*([A-Za-z_?.@][\w$#@~.?]*)\s*:?\s+equ\b/i;
const DEFINE = /^\s*%i?(?:x?define|assign|strlen|strcat|substr|defstr|deftok)\s+([A-Za-z_?.@][\w$#@~.?]*)/i;
const MACRO = /^\s*%i?r?macro\s+([A-Za-z_?.@][\w$#@~.?]*)/i;
const STRUCTURE = /^\s*struc\s+([A-Za-z_?.@][\w$#@~.?]*)/i;
const EXTERNAL = /^\s*\[?\s*(?:extern|common)\s+([A-Za-z_?.@][\w$#@~.?]*)/i;
const SECTION = /^\s*\[?\s*(?:section|segment)\s+([\w.$]+)/i;
const INCLUDE = /^\s*%include\s+(["'`])([^"'`]+)\1/i;
const OPENS: Readonly<Record<string, Block['kind']>> = {
  if: 'condition',
  macro: 'macro',
  imacro: 'macro',
  rmacro: 'macro',
  rep: 'repetition',
  while: 'repetition',
};
/** Strings are matched so that names inside them aren't; `%%name` is a macro's own label, `%$name` a context's. */
const WORD = /"[^"]*"?|'[^']*'?|`(?:\\.|[^`\\])*`?|%[%$]+[\w$#@~.?]+|%[\w!+-]+|[0-9][\w.]*|[A-Za-z_?.@][\w$#@~.?]*/g;

/** Directives that define the name behind them. */
const NAMED_BY_DIRECTIVE: readonly (readonly [RegExp, DefinitionKind])[] = [
  [MACRO, 'macro'],
  [DEFINE, 'define'],
  [STRUCTURE, 'structure'],
  [EXTERNAL, 'external'],
];
const LABELS: readonly RegExp[] = [MACRO_LABEL, LABEL_WITH_COLON, LABEL_BEFORE_DATA, LABEL_ALONE];

/** The name that a line defines, and the column of the name from 0. */
function findDefinition(code: string, inStructure: boolean): { name: string; kind: DefinitionKind; start: number } | undefined {
  for (const [form, kind] of NAMED_BY_DIRECTIVE) {
    const match = form.exec(code);
    if (match?.[1]) return { name: match[1], kind, start: match[0].length - match[1].length };
  }
  const constant = CONSTANT.exec(code)?.[1];
  const name = constant ?? LABELS.map((form) => form.exec(code)?.[1]).find((label) => label !== undefined);
  if (name === undefined) return undefined;
  const local = name.startsWith('%%') || (name.startsWith('.') && !name.startsWith('..'));
  const kind = constant !== undefined ? 'constant' : inStructure ? 'member' : local ? 'local' : 'label';
  return { name, kind, start: code.indexOf(name) };
}

function range(line: number, start: number, length: number): Range {
  return { start: { line, character: start }, end: { line, character: start + length } };
}

/** Reads a source. Takes time linear in its length and throws on nothing. */
export function indexSource(text: string): SourceIndex {
  return new Indexer(text.split(/\r\n|\r|\n/)).run();
}

class Indexer {
  private readonly occurrences: Occurrence[] = [];
  private readonly blocks: Block[] = [];
  private readonly sections: SectionMark[] = [];
  private readonly includes: { path: string; range: Range }[] = [];
  private readonly open: { kind: Block['kind']; line: number; name?: string }[] = [];
  /** The label that local labels belong to. */
  private parent = '';
  private structure: string | undefined;
  private macro: string | undefined;
  private functionStart: { line: number; name: string } | undefined;
  private lastCode = -1;
  private commentStart: number | undefined;

  constructor(private readonly lines: readonly string[]) {}

  run(): SourceIndex {
    this.lines.forEach((line, number) => {
      this.line(line, number);
    });
    this.endComment(this.lines.length);
    this.endFunction();
    this.endSection(this.lines.length);
    return {
      lines: this.lines,
      occurrences: this.occurrences,
      blocks: this.blocks,
      sections: this.sections,
      includes: this.includes,
    };
  }

  private line(line: string, number: number): void {
    const code = stripComment(line);
    if (code.trim() === '' && line.trim() !== '') this.commentStart ??= number;
    else this.endComment(number);
    if (code.trim() === '') return;
    const before = this.occurrences.length;
    this.define(code, number);
    const defined = this.occurrences[before]?.range.start.character;
    this.uses(code, number, defined);
    this.blocksOf(code, number);
    this.lastCode = number;
  }

  private define(code: string, number: number): void {
    const found = findDefinition(code, this.structure !== undefined);
    if (!found) return;
    const { name, kind, start } = found;
    this.occurrences.push({ key: this.key(name), range: range(number, start, name.length), definition: kind });
    if (kind === 'macro') this.macro = name;
    else if (kind === 'structure') this.structure = name;
    else if (kind === 'label' && this.macro === undefined) {
      this.parent = name;
      this.endFunction();
      this.functionStart = { line: number, name };
    }
  }

  private uses(code: string, number: number, defined: number | undefined): void {
    const include = INCLUDE.exec(code);
    if (include?.[2]) {
      this.includes.push({ path: include[2], range: range(number, code.indexOf(include[2]), include[2].length) });
      return;
    }
    for (const match of code.matchAll(WORD)) {
      const [word] = match;
      if (match.index === defined || !/^[A-Za-z_?.@]|^%%/.test(word)) continue;
      this.occurrences.push({ key: this.key(word), range: range(number, match.index, word.length) });
    }
  }

  private key(name: string): string {
    if (name.startsWith('%%')) return `${this.macro ?? ''}${name}`;
    if (name.startsWith('.') && !name.startsWith('..')) return `${this.structure ?? this.parent}${name}`;
    return name;
  }

  private blocksOf(code: string, number: number): void {
    const section = SECTION.exec(code);
    if (section?.[1]) {
      this.endFunction();
      this.endSection(number);
      this.sections.push({ name: section[1], range: range(number, code.indexOf(section[1]), section[1].length) });
    }
    const word = /^\s*%?(\w+)/.exec(code)?.[1]?.toLowerCase() ?? '';
    const directive = code.trimStart().startsWith('%');
    if (!directive) {
      if (word === 'struc') this.open.push({ kind: 'structure', line: number, name: this.structure });
      else if (word === 'endstruc') this.close('structure', number);
      return;
    }
    if (/^endi?r?m(acro)?$/.test(word)) this.close('macro', number);
    else if (word === 'endrep' || word === 'endwhile') this.close('repetition', number);
    else if (word === 'endif') this.close('condition', number);
    else if (/^(elif|else)/.test(word)) {
      this.close('condition', number - 1);
      this.open.push({ kind: 'condition', line: number });
    } else {
      const kind = OPENS[word] ?? (/^if/.test(word) ? 'condition' : undefined);
      if (kind) this.open.push({ kind, line: number, name: kind === 'macro' ? this.macro : undefined });
    }
  }

  private close(kind: Block['kind'], line: number): void {
    if (kind === 'structure') this.structure = undefined;
    if (kind === 'macro') this.macro = undefined;
    const at = this.open.map((block) => block.kind).lastIndexOf(kind);
    if (at < 0) return;
    const [block] = this.open.splice(at);
    if (block) this.addBlock({ kind, firstLine: block.line, lastLine: line, name: block.name });
  }

  private addBlock(block: Block): void {
    if (block.lastLine > block.firstLine) this.blocks.push(block);
  }

  private endComment(line: number): void {
    if (this.commentStart !== undefined) this.addBlock({ kind: 'comment', firstLine: this.commentStart, lastLine: line - 1 });
    this.commentStart = undefined;
  }

  private endFunction(): void {
    const start = this.functionStart;
    if (start) this.addBlock({ kind: 'function', firstLine: start.line, lastLine: this.lastCode, name: start.name });
    this.functionStart = undefined;
  }

  private endSection(line: number): void {
    const start = this.sections.at(-1);
    if (start)
      this.addBlock({
        kind: 'section',
        firstLine: start.range.start.line,
        lastLine: Math.min(line - 1, this.lastCode),
        name: start.name,
      });
  }
}

/** The occurrence at a position; its end counts, as a cursor behind a word means the word. */
export function occurrenceAt(index: SourceIndex, line: number, character: number): Occurrence | undefined {
  return index.occurrences.find(
    ({ range: { start, end } }) => start.line === line && start.character <= character && character <= end.character,
  );
}

/** The lines of comment right above a definition, or the one behind it, without their semicolons. */
export function commentOf(index: SourceIndex, line: number): string {
  const above: string[] = [];
  for (let at = line - 1; at >= 0 && /^\s*;/.test(index.lines[at] ?? ''); at--) above.unshift(index.lines[at] ?? '');
  const text = index.lines[line] ?? '';
  const behind = text.slice(stripComment(text).length);
  const chosen = behind.startsWith(';') ? [behind] : above;
  return chosen
    .map((comment) => comment.replace(/^\s*;+ ?/, '').trimEnd())
    .join('\n')
    .trim();
}
