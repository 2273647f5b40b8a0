import type { Location, Position, Range, TextEdit } from 'vscode-languageserver';
import { describeRegister, findDirective, instructionsNamed } from './reference-tables.ts';
import { type Occurrence, occurrenceAt } from './source-index.ts';
import type { Sources } from './sources.ts';

export interface FoundOccurrence {
  readonly path: string;
  readonly occurrence: Occurrence;
}

/** A place in a source by its path; the server makes URIs of the paths. */
export type PathLocation = Omit<Location, 'uri'> & { readonly path: string };

/** A name can't be changed; one sentence says why. */
export class RenameError extends Error {}

const NAME = /^[A-Za-z_?.@][\w$#@~.?]*$/;
const LOCAL_NAME = /^\.[\w$#@~.?]+$/;

function occurrencesOf(sources: Sources, path: string, key: string): FoundOccurrence[] {
  return sources
    .related(path)
    .flatMap((other) =>
      (sources.index(other)?.occurrences ?? [])
        .filter((occurrence) => occurrence.key === key)
        .map((occurrence) => ({ path: other, occurrence })),
    );
}

/** Where the name at a position is defined. */
export function findDefinition(sources: Sources, path: string, position: Position): FoundOccurrence | undefined {
  const index = sources.index(path);
  const occurrence = index && occurrenceAt(index, position.line, position.character);
  if (!occurrence) return undefined;
  const definitions = occurrencesOf(sources, path, occurrence.key).filter(({ occurrence: { definition } }) => definition);
  return definitions.find(({ occurrence: { definition } }) => definition !== 'external') ?? definitions[0];
}

/** The definition of a name, or the file of an `%include`. */
export function definition(sources: Sources, path: string, position: Position): PathLocation | undefined {
  const include = sources.index(path)?.includes.find(({ range }) => contains(range, position));
  if (include) {
    const target = sources.resolve(path, include.path);
    const start = { line: 0, character: 0 };
    return sources.index(target) && { path: target, range: { start, end: start } };
  }
  const found = findDefinition(sources, path, position);
  return found && { path: found.path, range: found.occurrence.range };
}

/** All places of the name at a position, in the source, what it includes and what includes it. */
export function references(
  sources: Sources,
  path: string,
  position: Position,
  includeDefinition: boolean,
): readonly PathLocation[] {
  const found = findDefinition(sources, path, position);
  if (!found) return [];
  return occurrencesOf(sources, path, found.occurrence.key)
    .filter(({ occurrence }) => includeDefinition || occurrence.definition === undefined)
    .map(({ path: other, occurrence }) => ({ path: other, range: occurrence.range }));
}

/** The range of a name that can be renamed. Throws RenameError where there is none. */
export function prepareRename(sources: Sources, path: string, position: Position): Range {
  const index = sources.index(path);
  const occurrence = index && occurrenceAt(index, position.line, position.character);
  if (!occurrence || !findDefinition(sources, path, position))
    throw new RenameError(
      'Only a name that the program defines can be renamed; put the cursor on a label, a constant or a macro.',
    );
  return occurrence.range;
}

/** Edits by path that give the name at a position another. Throws RenameError. */
export function rename(sources: Sources, path: string, position: Position, newName: string): ReadonlyMap<string, TextEdit[]> {
  prepareRename(sources, path, position);
  const found = findDefinition(sources, path, position);
  if (!found) return new Map();
  const { key, definition: kind } = found.occurrence;
  const written = textOf(sources, found);
  const isLocal = written.startsWith('.');
  if (isLocal ? !LOCAL_NAME.test(newName) : !NAME.test(newName))
    throw new RenameError(
      isLocal
        ? `"${newName}" is no name for a local label; it begins with a dot, then letters, digits and _.`
        : `"${newName}" is no name for a symbol; it begins with a letter or _, then letters, digits, _, $, #, @, ~, . and ?.`,
    );
  if (!isLocal && newName.startsWith('.'))
    throw new RenameError(`"${newName}" would be a local label; leave the dot away, or define it as one.`);
  if (taken(newName)) throw new RenameError(`"${newName}" is a word of the assembler; take another name.`);
  const newKey = isLocal ? key.slice(0, key.length - written.length) + newName : newName;
  if (occurrencesOf(sources, path, newKey).some(({ occurrence }) => occurrence.definition))
    throw new RenameError(`"${newName}" is defined already; take another name.`);
  const edits = new Map<string, TextEdit[]>();
  const add = (place: FoundOccurrence, newText: string) => {
    edits.set(place.path, [...(edits.get(place.path) ?? []), { range: place.occurrence.range, newText }]);
  };
  for (const place of occurrencesOf(sources, path, key)) {
    // A local label can also stand with its parent in front.
    const text = textOf(sources, place);
    add(place, isLocal && !text.startsWith('.') ? newKey : newName);
  }
  // Local labels that stand with this name in front of them.
  if (kind === 'label' || kind === 'structure')
    for (const other of sources.related(path))
      for (const occurrence of sources.index(other)?.occurrences ?? []) {
        const place = { path: other, occurrence };
        const text = textOf(sources, place);
        if (text.startsWith(`${key}.`)) add(place, newName + text.slice(key.length));
      }
  return edits;
}

function taken(name: string): boolean {
  const lower = name.toLowerCase();
  return instructionsNamed(lower).length > 0 || describeRegister(lower) !== undefined || findDirective(lower) !== undefined;
}

function textOf(sources: Sources, { path, occurrence: { range } }: FoundOccurrence): string {
  return sources.index(path)?.lines[range.start.line]?.slice(range.start.character, range.end.character) ?? '';
}

function contains(range: Range, { line, character }: Position): boolean {
  return range.start.line === line && range.start.character <= character && character <= range.end.character;
}
