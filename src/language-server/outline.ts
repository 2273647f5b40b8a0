import { type DocumentSymbol, type FoldingRange, FoldingRangeKind, type Range, SymbolKind } from 'vscode-languageserver';
import type { DefinitionKind, Occurrence, SourceIndex } from './source-index.ts';

const KINDS: Readonly<Record<DefinitionKind, SymbolKind>> = {
  label: SymbolKind.Function,
  local: SymbolKind.Field,
  constant: SymbolKind.Constant,
  structure: SymbolKind.Struct,
  member: SymbolKind.Field,
  macro: SymbolKind.Method,
  define: SymbolKind.Constant,
  external: SymbolKind.Interface,
};

/** Labels with their local labels under them, structures with their members, macros, constants. */
export function documentSymbols(index: SourceIndex): DocumentSymbol[] {
  const top: DocumentSymbol[] = [];
  let parent: DocumentSymbol | undefined;
  const dataLines = new Set(
    index.lines.flatMap((line, number) =>
      /\b(?:d[bwdqto]|res[bwdqto]|incbin|istruc)\b/i.test(line.split(';')[0] ?? '') ? [number] : [],
    ),
  );
  for (const occurrence of index.occurrences) {
    const { definition } = occurrence;
    if (definition === undefined || definition === 'external') continue;
    const symbol = symbolOf(index, occurrence, definition === 'label' && dataLines.has(occurrence.range.start.line));
    if ((definition === 'local' || definition === 'member') && parent?.children) parent.children.push(symbol);
    else {
      top.push(symbol);
      if (definition === 'label' || definition === 'structure' || definition === 'macro') parent = symbol;
    }
  }
  return top;
}

function symbolOf(index: SourceIndex, { range, definition = 'label' }: Occurrence, isData: boolean): DocumentSymbol {
  const { line } = range.start;
  const text = index.lines[line] ?? '';
  const block = index.blocks.find(({ kind, firstLine }) => firstLine === line && kind !== 'comment' && kind !== 'section');
  const lastLine = block?.lastLine ?? line;
  const whole: Range = {
    start: { line, character: 0 },
    end: { line: lastLine, character: (index.lines[lastLine] ?? '').length },
  };
  return {
    name: text.slice(range.start.character, range.end.character),
    kind: isData ? SymbolKind.Variable : KINDS[definition],
    range: whole,
    selectionRange: range,
    children: [],
  };
}

/** Macros, structures, conditions, comments, and a label up to the next. */
export function foldingRanges(index: SourceIndex): FoldingRange[] {
  return index.blocks.map(({ kind, firstLine, lastLine }) => ({
    startLine: firstLine,
    endLine: lastLine,
    kind: kind === 'comment' ? FoldingRangeKind.Comment : kind === 'section' ? FoldingRangeKind.Region : undefined,
  }));
}
