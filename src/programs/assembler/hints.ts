import type { Token } from './lexer.ts';
import { findRegister, registerNames } from './registers.ts';

/** Words of other assemblers that are met where a name is expected, and how NASM says the same. */
const FOREIGN_WORDS: Readonly<Record<string, string>> = {
  offset: 'A name alone is its address: leave "offset" out.',
  ptr: 'NASM writes no "ptr": dword [rsi].',
  rip: 'RIP is not named in addresses: write [rel NAME], or [rel $ + 4].',
  eip: 'EIP is not named in addresses: write [rel NAME].',
  proc: 'NASM has no procedures: a label and a colon begin one.',
  dup: 'NASM repeats data by times: times 16 db 0.',
};

const ATT = 'This is AT&T syntax. Write the destination first, and neither % nor $: mov eax, 1';

/** The hint for a name that nobody defines. `known` are the symbols of the program. */
export function hintForName(name: string, known: Iterable<string>): string {
  const foreign = FOREIGN_WORDS[name.toLowerCase()];
  if (foreign !== undefined) return foreign;
  const similar = nearest(name, known);
  if (similar !== undefined) return `Did you mean "${similar}"?`;
  // Intel's manuals call the low bytes of R8–R15 so.
  const lowByte = /^(r(?:8|9|1[0-5]))l$/i.exec(name)?.[1];
  const register = lowByte === undefined ? nearest(name, registerNames) : `${lowByte}b`;
  return register === undefined
    ? 'Check its spelling, or define it as a label or with equ.'
    : `Did you mean the register ${register}?`;
}

/** The hint for a statement that begins as none does. */
export function hintForStatement(tokens: readonly Token[]): string | undefined {
  const isAtt = tokens.some(({ kind, text }, index) => {
    const next = tokens[index + 1];
    return kind === 'operator' && text === '%' && next?.kind === 'name' && findRegister(next.text) !== undefined;
  });
  return isAtt ? ATT : undefined;
}

/** The first word that is the same but for its case, else but for one letter; undefined when none is. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const all = [...candidates];
  const plain = word.toLowerCase();
  const found = all.find((candidate) => candidate.toLowerCase() === plain);
  return found ?? all.find((candidate) => candidate.length > 2 && isOneOff(candidate.toLowerCase(), plain));
}

/** Whether two different words are one letter apart: one more, one less, another one, or two that changed places. */
function isOneOff(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const restA = a.slice(start, a.length - end);
  const restB = b.slice(start, b.length - end);
  const swapped = restA.length === 2 && restB.length === 2 && restA[0] === restB[1] && restA[1] === restB[0];
  return swapped || (restA.length <= 1 && restB.length <= 1);
}
