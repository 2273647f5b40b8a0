import { AssemblyError, type SourcePlace } from './diagnostic.ts';
import { type Token, tokenize } from './lexer.ts';
import { isMnemonic } from './opcodes.ts';

/** A line, taken apart: label, then an instruction or directive with its tokens. */
export interface Statement {
  readonly place: SourcePlace;
  readonly label?: string;
  readonly labelColumn: number;
  /** Lower case: mnemonic or directive. */
  readonly word?: string;
  readonly column: number;
  /** Instruction prefixes in front of the mnemonic, lower case. */
  readonly prefixes: readonly string[];
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

export const DIRECTIVES: ReadonlySet<string> = new Set([
  'bits',
  'use16',
  'use32',
  'use64',
  'default',
  'section',
  'segment',
  'absolute',
  'extern',
  'global',
  'common',
  'cpu',
  'org',
  'align',
  'alignb',
  'equ',
  'db',
  'dw',
  'dd',
  'dq',
  'dt',
  'do',
  'resb',
  'resw',
  'resd',
  'resq',
  'rest',
  'reso',
  'incbin',
  'struc',
  'endstruc',
  'istruc',
  'at',
  'iend',
  'static',
  'required',
  'warning',
]);

const isWord = (text: string): boolean => DIRECTIVES.has(text) || isMnemonic(text) || PREFIXES.has(text) || text === 'times';

/** Takes one line apart. Undefined for an empty one. Throws AssemblyError. */
export function parseStatement(text: string, place: SourcePlace): Statement | undefined {
  let tokens = tokenize(text);
  if (tokens.length === 0) return undefined;
  tokens = unwrapBrackets(tokens);
  let at = 0;
  let label: string | undefined;
  let labelColumn = 1;
  let colonAfterLabel = false;
  const first = tokens[0];
  const second = tokens[1];
  if (first?.kind === 'name') {
    const colon = second?.kind === 'operator' && second.text === ':';
    if (colon || !isWord(first.text.toLowerCase())) {
      label = first.text;
      labelColumn = first.column;
      colonAfterLabel = colon;
      at = colon ? 2 : 1;
    }
  }
  const prefixes: string[] = [];
  let times: Token[] | undefined;
  for (;;) {
    const token = tokens[at];
    if (!token) return { place, label, labelColumn, column: 1, prefixes, times, operands: [] };
    if (token.kind !== 'name') throw new AssemblyError('An instruction or directive is expected here.', undefined, token.column);
    const word = token.text.toLowerCase();
    if (word === 'times' && !times) {
      const end = timesEnd(tokens, at + 1);
      times = tokens.slice(at + 1, end);
      at = end;
    } else if (PREFIXES.has(word)) {
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
      return { place, label, labelColumn, word, column: token.column, prefixes, times, operands: tokens.slice(at + 1) };
    }
  }
}

/** `[bits 64]` is the same as `bits 64`. */
function unwrapBrackets(tokens: Token[]): Token[] {
  const open = tokens[0];
  const close = tokens.at(-1);
  if (open?.kind === 'operator' && open.text === '[' && close?.kind === 'operator' && close.text === ']')
    return tokens.slice(1, -1);
  return tokens;
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
  const close = [
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
  ].find((candidate) => candidate.length > 2 && distance(candidate, word) === 1);
  return close === undefined ? undefined : `Did you mean "${close}"?`;
}

/** Edit distance, enough of it: 0, 1, or 2 for more. */
function distance(a: string, b: string): number {
  if (a === b) return 0;
  if (Math.abs(a.length - b.length) > 1) return 2;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const restA = a.slice(start, a.length - end);
  const restB = b.slice(start, b.length - end);
  const swapped = restA.length === 2 && restB.length === 2 && restA[0] === restB[1] && restA[1] === restB[0];
  return swapped || (restA.length <= 1 && restB.length <= 1) ? 1 : 2;
}
