import { nearestName } from '../../x86/nearest-name.ts';
import { AssemblyError, type SourcePlace } from './diagnostic.ts';
import { directives } from './directives.ts';
import { hintForStatement } from './hints.ts';
import { type Token, tokenize } from './lexer.ts';
import { isMnemonic } from './opcodes.ts';

/** A line, taken apart: label, then an instruction or directive with its tokens. */
export interface Statement {
  readonly place: SourcePlace;
  readonly label?: string;
  readonly labelColumn: number;
  /** The label has no colon and nothing behind it: what it was meant as, if that can be guessed, else an empty text. */
  readonly orphan?: string;
  /** Lower case: mnemonic or directive. */
  readonly word?: string;
  readonly column: number;
  /** Instruction prefixes in front of the mnemonic, lower case. */
  readonly prefixes: readonly string[];
  /** `{vex}` or `{evex}` in front of the mnemonic. */
  readonly form?: 'vex' | 'evex';
  readonly times?: readonly Token[];
  readonly operands: readonly Token[];
}

const PREFIXES: ReadonlySet<string> = new Set([
  'lock',
  'rep',
  'repe',
  'repz',
  'repne',
  'repnz',
  'a16',
  'a32',
  'a64',
  'o16',
  'o32',
  'o64',
  'es',
  'cs',
  'ss',
  'ds',
  'fs',
  'gs',
  'bnd',
  'xacquire',
  'xrelease',
]);

/** WAIT is an instruction, and a prefix where another one follows. */
const WAIT: ReadonlySet<string> = new Set(['wait', 'fwait']);
const isInstruction = (token: Token | undefined): boolean => token?.kind === 'name' && isMnemonic(token.text.toLowerCase());

/** What NASM knows only in brackets; without them these are names. */
const BRACKETED: ReadonlySet<string> = new Set([
  'list',
  'map',
  'float',
  'debug',
  'pragma',
  'uppercase',
  'osabi',
  'warning',
  'required',
  'static',
]);
const DATA = /^(d|res)[bwdqtoyz]$/;

/** Directives as completion offers them. */
export const DIRECTIVES: ReadonlySet<string> = new Set([
  ...[...directives.keys()].filter((name) => !BRACKETED.has(name)),
  'equ',
  'times',
  ...['b', 'w', 'd', 'q', 't', 'o', 'y', 'z'].flatMap((letter) => [`d${letter}`, `res${letter}`]),
]);

const isWord = (text: string): boolean =>
  isMnemonic(text) || directives.has(text)
    ? !BRACKETED.has(text)
    : PREFIXES.has(text) || text === 'times' || text === 'equ' || DATA.test(text);

/** Takes one line apart. Undefined for an empty one. Throws AssemblyError. */
export function parseStatement(text: string, place: SourcePlace): Statement | undefined {
  const tokens = tokenize(text);
  if (tokens.length === 0) return undefined;
  const bracketed = unwrapBrackets(tokens);
  if (bracketed) return bracketedDirective(bracketed, place);
  let at = 0;
  let label: string | undefined;
  let labelColumn = 1;
  let colonAfterLabel = false;
  const first = tokens[0];
  const second = tokens[1];
  if (first?.kind === 'name') {
    const colon = second?.kind === 'operator' && second.text === ':';
    if (colon || first.escaped || !isWord(first.text.toLowerCase())) {
      label = first.text;
      labelColumn = first.column;
      colonAfterLabel = colon;
      at = colon ? 2 : 1;
    }
  }
  const prefixes: string[] = [];
  let times: Token[] | undefined;
  let form: Statement['form'];
  for (;;) {
    const token = tokens[at];
    if (!token) {
      const isOrphan = label !== undefined && at === 1 && first?.kind === 'name' && !first.escaped;
      const orphan = isOrphan ? (suggestion(first.text.toLowerCase()) ?? '') : undefined;
      return { place, label, labelColumn, orphan, column: 1, prefixes, times, operands: [] };
    }
    if (token.kind === 'decorator' && /^e?vex/.test(token.text)) {
      form = token.text === 'evex' ? 'evex' : 'vex';
      at++;
      continue;
    }
    if (token.kind !== 'name')
      throw new AssemblyError('An instruction or directive is expected here.', hintForStatement(tokens), token.column);
    const word = token.text.toLowerCase();
    if (word === 'times' && !times) {
      const end = timesEnd(tokens, at + 1);
      times = tokens.slice(at + 1, end);
      at = end;
    } else if (PREFIXES.has(word) || (WAIT.has(word) && isInstruction(tokens[at + 1]))) {
      prefixes.push(word);
      at++;
    } else {
      if (!isWord(word)) {
        // `movv rax, 1`: the first word is the misspelt one, not a label without its colon.
        const wrong = first?.kind === 'name' && label !== undefined && !colonAfterLabel && at === 1 ? first : token;
        throw new AssemblyError(
          `"${wrong.text}" is neither an instruction nor a directive.`,
          suggestion(wrong.text.toLowerCase()),
          wrong.column,
          wrong.text.length,
        );
      }
      return { place, label, labelColumn, word, column: token.column, prefixes, form, times, operands: tokens.slice(at + 1) };
    }
  }
}

/** The inside of `[bits 64]`; undefined for another line. */
function unwrapBrackets(tokens: readonly Token[]): readonly Token[] | undefined {
  const open = tokens[0];
  const close = tokens.at(-1);
  const holds = open?.kind === 'operator' && open.text === '[' && close?.kind === 'operator' && close.text === ']';
  return holds ? tokens.slice(1, -1) : undefined;
}

/** `[bits 64]` is `bits 64`. */
function bracketedDirective(tokens: readonly Token[], place: SourcePlace): Statement {
  const [first, ...operands] = tokens;
  const word = first?.kind === 'name' ? first.text.toLowerCase() : '';
  if (!directives.has(word))
    throw new AssemblyError(
      'In brackets at the beginning of a line stands a directive.',
      'For example: [bits 64]',
      first?.column,
    );
  return { place, labelColumn: 1, word, column: first?.column ?? 1, prefixes: [], operands };
}

/** The count of TIMES ends where an instruction or directive begins. */
function timesEnd(tokens: readonly Token[], start: number): number {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at];
    if (token?.kind === 'operator') depth += token.text === '(' ? 1 : token.text === ')' ? -1 : 0;
    if (depth === 0 && token?.kind === 'name' && at > start && isWord(token.text.toLowerCase())) return at;
  }
  throw new AssemblyError('TIMES needs something to repeat.', 'For example: times 16 db 0', tokens[start]?.column);
}

function suggestion(word: string): string | undefined {
  const close = nearestName(
    word,
    [
      ...DIRECTIVES,
      'mov',
      'movzx',
      'movsx',
      'push',
      'pop',
      'call',
      'ret',
      'vmcall',
      'vmmcall',
      'cpuid',
      'rdmsr',
      'wrmsr',
      'lgdt',
      'lidt',
      'iretq',
      'hlt',
      'cli',
      'sti',
      'xor',
      'add',
      'sub',
      'cmp',
      'test',
      'jmp',
      'lea',
      'loop',
    ],
    1,
  );
  return close === undefined ? undefined : `Did you mean "${close}"?`;
}
