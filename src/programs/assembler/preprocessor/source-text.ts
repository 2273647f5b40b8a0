import { AssemblyError, type SourcePlace } from '../diagnostic.ts';

/** A line with the place that it belongs to: a macro's lines belong to where it was called. */
export interface SourceText {
  readonly text: string;
  readonly place: SourcePlace;
}

/** Lines that one source may grow to. */
export const MAX_LINES = 1_000_000;

/** Index of the line that ends the %macro or %rep at an index. */
export function blockEnd(lines: readonly SourceText[], start: number, word: string): number {
  const [opening, closing] = word === 'rep' ? [/^\s*%rep\b/i, /^\s*%endrep\b/i] : [/^\s*%i?macro\b/i, /^\s*%endm(acro)?\b/i];
  let depth = 0;
  for (let index = start; index < lines.length; index++) {
    const text = lines[index]?.text ?? '';
    if (opening.test(text)) depth++;
    else if (closing.test(text) && --depth === 0) return index;
  }
  throw new AssemblyError(`This %${word} has no end.`, word === 'rep' ? 'Add %endrep.' : 'Add %endmacro.');
}
