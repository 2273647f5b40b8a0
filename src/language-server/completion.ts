import { type CompletionItem, CompletionItemKind, type Position } from 'vscode-languageserver';
import { stripComment } from '../programs/assembler/lexer.ts';
import { describeHypercall, describeHypervCall, describeWord } from './hover.ts';
import {
  directives,
  hypercalls,
  hypervCalls,
  mnemonics,
  msrs,
  ports,
  preprocessorDirectives,
  registers,
} from './reference-tables.ts';
import { commentOf, type DefinitionKind, type Occurrence } from './source-index.ts';
import type { Sources } from './sources.ts';

const KINDS: Readonly<Record<DefinitionKind, CompletionItemKind>> = {
  label: CompletionItemKind.Function,
  local: CompletionItemKind.Field,
  constant: CompletionItemKind.Constant,
  structure: CompletionItemKind.Struct,
  member: CompletionItemKind.Field,
  macro: CompletionItemKind.Method,
  define: CompletionItemKind.Constant,
  external: CompletionItemKind.Interface,
};
/** In front of a mnemonic: a label with its colon, prefixes, TIMES with its count. */
const AT_MNEMONIC = /^\s*(?:[\w$#@~.?%]+:\s*)?(?:(?:lock|rep(?:n?[ez])?|times\s+\S+)\s+)*[A-Za-z]*$/i;

/** What can stand at a position. */
export function complete(sources: Sources, path: string, position: Position): CompletionItem[] {
  const index = sources.index(path);
  const line = index?.lines[position.line];
  if (!index || line === undefined) return [];
  const before = line.slice(0, position.character);
  if (stripComment(before).length < before.length || insideString(before)) return [];
  if (/^\s*%\w*$/.test(before)) return preprocessor(position, before);
  const local = /(?:^|[^\w$#@~?])(\.[\w$#@~.?]*)$/.exec(before)?.[1];
  if (local !== undefined) return locals(sources, path, position, local);
  if (AT_MNEMONIC.test(before)) return [...instructions(), ...symbols(sources, path, ['macro'])];
  return [...numbers(before), ...operandRegisters(), ...symbols(sources, path)];
}

/** Documentation is made only for the item that the user looks at. */
export function resolveCompletion(item: CompletionItem): CompletionItem {
  if (item.kind !== CompletionItemKind.Keyword && item.kind !== CompletionItemKind.Variable) return item;
  const value = describeWord(item.label);
  return value === undefined ? item : { ...item, documentation: { kind: 'markdown', value } };
}

function insideString(before: string): boolean {
  const quotes = before.match(/"[^"]*"|'[^']*'|`[^`]*`|["'`]/g) ?? [];
  return quotes.some((quote) => quote.length === 1);
}

function instructions(): CompletionItem[] {
  return [
    ...mnemonics.map((label) => ({ label, kind: CompletionItemKind.Keyword })),
    ...directives.map(({ name, usage }) => ({ label: name, kind: CompletionItemKind.Keyword, detail: usage })),
  ];
}

function preprocessor(position: Position, before: string): CompletionItem[] {
  // The percent sign is no part of a word for the editor: without a range it would stay twice.
  const start = { line: position.line, character: before.indexOf('%') };
  return preprocessorDirectives.map(({ name, usage, description }) => ({
    label: name,
    kind: CompletionItemKind.Keyword,
    detail: usage,
    documentation: description,
    textEdit: { range: { start, end: position }, newText: name },
  }));
}

function operandRegisters(): CompletionItem[] {
  return [...registers].map((label) => ({ label, kind: CompletionItemKind.Variable, sortText: `2${label}` }));
}

/** Numbers with a meaning, where the register that they go to says which meaning: MSRs, ports, hypercalls. */
function numbers(before: string): CompletionItem[] {
  const item = (name: string, value: number, detail: string, documentation: string): CompletionItem => ({
    label: name,
    kind: CompletionItemKind.EnumMember,
    detail: `0x${value.toString(16)} ${detail}`,
    documentation: { kind: 'markdown', value: documentation },
    insertText: `0x${value.toString(16)}`,
    filterText: `${name} 0x${value.toString(16)}`,
    sortText: `0${name}`,
  });
  if (/\bmov\s+[re]?cx\s*,\s*\w*$/i.test(before))
    return [
      ...msrs.map(({ index, name, description }) => item(name, index, 'MSR', description)),
      ...hypervCalls.map((call) => item(call.name, call.code, 'hypercall of Hyper-V', describeHypervCall(call))),
    ];
  if (/\bmov\s+[re]?dx\s*,\s*\w*$|\bin\s+\w+\s*,\s*\w*$|\bout\s+\w*$/i.test(before))
    return ports.map(({ first, device, description }) =>
      item(`${device} 0x${first.toString(16)}`, first, 'I/O port', description),
    );
  if (/\bmov\s+[re]?ax\s*,\s*\w*$/i.test(before))
    return hypercalls.map((call) => item(call.name, call.number, 'hypercall', describeHypercall(call)));
  return [];
}

function symbols(sources: Sources, path: string, only?: readonly DefinitionKind[]): CompletionItem[] {
  const found = new Map<string, CompletionItem>();
  for (const other of sources.withIncludes(path)) {
    const index = sources.index(other);
    for (const occurrence of index?.occurrences ?? []) {
      const { key, definition, range } = occurrence;
      if (!index || definition === undefined || found.has(key)) continue;
      if (definition === 'local' || (only && !only.includes(definition))) continue;
      const comment = commentOf(index, range.start.line);
      found.set(key, {
        label: key,
        kind: KINDS[definition],
        detail: definition,
        documentation: comment === '' ? undefined : comment,
        sortText: `1${key}`,
      });
    }
  }
  return [...found.values()];
}

/** Local labels of the label above. */
function locals(sources: Sources, path: string, position: Position, typed: string): CompletionItem[] {
  const occurrences = sources.index(path)?.occurrences ?? [];
  const parent = occurrences
    .filter(({ definition, range }) => definition === 'label' && range.start.line <= position.line)
    .at(-1)?.key;
  const start = { line: position.line, character: position.character - typed.length };
  const isOwn = ({ key, definition }: Occurrence) => definition === 'local' && key.startsWith(`${parent ?? ''}.`);
  return occurrences.filter(isOwn).map(({ key }) => {
    const label = key.slice((parent ?? '').length);
    return { label, kind: CompletionItemKind.Field, textEdit: { range: { start, end: position }, newText: label } };
  });
}
