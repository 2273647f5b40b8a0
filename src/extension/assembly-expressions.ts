/** Finds in a line of guest assembly what the debugger can evaluate. */

export interface FoundExpression {
  readonly expression: string;
  /** Columns from 0; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
}

const REGISTER =
  /^(?:[re]?(?:ax|bx|cx|dx|si|di|sp|bp|ip)|[abcd][lh]|(?:si|di|sp|bp)l|r(?:8|9|1[0-5])[dwb]?|[c-gs]s|cr[02348]|dr[0-367])$/i;
const WORD = /[A-Za-z_?.@][\w$#@~.?]*/g;
/** What stands in front of operands: a label, prefixes, the mnemonic. */
const HEAD = /^\s*(?:[A-Za-z_?.@%][\w$#@~.?]*:\s*)?(?:(?:lock|rep(?:n?[ez])?)\s+)*[A-Za-z]\w*(?=\s|$)/i;
const DIRECTIVE = /^(?:byte|word|dword|qword|tword|ptr|short|near|far|rel|abs|strict|equ|times|d[bwdqto]|res[bwdqto])$/i;

/** The line without its comment, of the same length up to it; characters of strings become blanks. */
function codeOf(line: string): string {
  const blanked = line.replace(/"[^"]*"?|'[^']*'?|`(?:\\.|[^`\\])*`?|;.*$/g, (found) =>
    found.startsWith(';') ? '' : ' '.repeat(found.length),
  );
  return blanked;
}

/** What a hover at a column evaluates: a register, a symbol, or with the cursor on a bracket the memory operand. */
export function expressionAt(line: string, column: number): FoundExpression | undefined {
  const code = codeOf(line);
  for (const { 0: text, index: start } of code.matchAll(/\[[^\]]*\]/g)) {
    const end = start + text.length;
    if (column === start || column === end - 1) return { expression: text, start, end };
  }
  const head = HEAD.exec(code)?.[0].length ?? 0;
  for (const { 0: word, index: start } of code.matchAll(WORD)) {
    const end = start + word.length;
    if (column < start || column > end) continue;
    const isLabel = start < head && /^\s*:/.test(code.slice(end));
    if (DIRECTIVE.test(word) || (start < head && !isLabel)) return undefined;
    return { expression: word, start, end };
  }
  return undefined;
}

/** The registers that an instruction names. */
export function registersIn(line: string): FoundExpression[] {
  return [...codeOf(line).matchAll(WORD)]
    .filter(({ 0: word }) => REGISTER.test(word))
    .map(({ 0: word, index: start }) => ({ expression: word.toLowerCase(), start, end: start + word.length }));
}
