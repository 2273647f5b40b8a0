import { nearestName } from '../../x86/nearest-name.ts';
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
  const similar = nearestName(name, known, 1);
  if (similar !== undefined) return `Did you mean "${similar}"?`;
  // Intel's manuals call the low bytes of R8–R15 so.
  const lowByte = /^(r(?:8|9|1[0-5]))l$/i.exec(name)?.[1];
  const register = lowByte === undefined ? nearestName(name, registerNames, 1) : `${lowByte}b`;
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
