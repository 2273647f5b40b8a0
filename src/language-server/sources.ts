import { assembleSource, PROGRAM_ORIGIN } from '../programs/assembler/assemble.ts';
import type { Diagnostic } from '../programs/assembler/diagnostic.ts';
import type { FileAccess } from '../programs/program.ts';
import { ProgramError } from '../programs/program.ts';
import { indexSource, type SourceIndex } from './source-index.ts';

/** What the assembler found in a source and all that it includes. */
export interface Check {
  readonly diagnostics: readonly Diagnostic[];
  readonly symbols: ReadonlyMap<string, { readonly text: string }>;
}

interface Entry {
  readonly text: string;
  index?: SourceIndex;
  check?: Check;
}

/** Directives of the GNU assembler, whose files have the same extension. What is in its syntax isn't ours to judge. */
const GNU_DIRECTIVE =
  /^\s*(?:\.(?:globa?l|text|data|section|code(?:16|32|64)|intel_syntax|att_syntax|type|size|file|cfi_\w+)\b(?!\s*:)|#\s*include\b)/m;

/** Assembling stops to be something for each key press when a source is larger than this. */
const MAX_CHECKED_LENGTH = 1_000_000;

/**
 * The sources that the editor has open, and through `disk` those that they include. What is derived from a source is kept
 * until a source changes.
 */
export class Sources {
  private readonly open = new Map<string, Entry>();
  private readonly fromDisk = new Map<string, Entry | undefined>();

  constructor(private readonly disk: FileAccess) {}

  /** A document was opened or changed. */
  set(path: string, text: string): void {
    this.forgetChecks();
    this.open.set(path, { text });
  }

  /** A document was closed; what is on disk counts again. */
  delete(path: string): void {
    this.forgetChecks();
    this.open.delete(path);
  }

  openPaths(): readonly string[] {
    return [...this.open.keys()];
  }

  /** Undefined when there is no such file. */
  index(path: string): SourceIndex | undefined {
    const entry = this.entry(path);
    if (entry) entry.index ??= indexSource(entry.text);
    return entry?.index;
  }

  /** Paths of a source and of everything that it includes, the source first. */
  withIncludes(path: string): readonly string[] {
    const found = [path];
    for (const from of found)
      for (const include of this.index(from)?.includes ?? []) {
        const target = this.disk.resolve(from, include.path);
        if (!found.includes(target) && this.entry(target)) found.push(target);
      }
    return found;
  }

  /** A source, what it includes, and the open sources that include it: where a name of it can stand. */
  related(path: string): readonly string[] {
    const groups = this.openPaths()
      .map((root) => this.withIncludes(root))
      .filter((group) => group.includes(path));
    return [...new Set([...this.withIncludes(path), ...groups.flat()])];
  }

  /** Assembles an open source. */
  check(path: string): Check {
    const entry = this.entry(path);
    if (!entry || entry.text.length > MAX_CHECKED_LENGTH || GNU_DIRECTIVE.test(entry.text))
      return { diagnostics: [], symbols: new Map() };
    entry.check ??= this.assemble(path);
    return entry.check;
  }

  /** The value of a symbol as a hover shows it: an address, or a constant. */
  symbolValue(path: string, key: string): string | undefined {
    return this.check(path).symbols.get(key)?.text;
  }

  resolve(from: string, relative: string): string {
    return this.disk.resolve(from, relative);
  }

  private assemble(path: string): Check {
    const { diagnostics, assembly } = assembleSource(path, this.files(), PROGRAM_ORIGIN);
    const symbols = [...assembly.symbols].map(
      ([name, { kind, value }]) =>
        [name, { text: `${kind === 'label' ? 'at ' : ''}0x${BigInt.asUintN(64, value.number).toString(16)}` }] as const,
    );
    return { diagnostics, symbols: new Map(symbols) };
  }

  private files(): FileAccess {
    const encoder = new TextEncoder();
    return {
      read: (path) => {
        const text = this.open.get(path)?.text;
        return text === undefined ? this.disk.read(path) : encoder.encode(text);
      },
      exists: (path) => this.open.has(path) || this.disk.exists(path),
      resolve: (from, relative) => this.disk.resolve(from, relative),
    };
  }

  private entry(path: string): Entry | undefined {
    const open = this.open.get(path);
    if (open) return open;
    if (!this.fromDisk.has(path)) this.fromDisk.set(path, this.readFromDisk(path));
    return this.fromDisk.get(path);
  }

  private readFromDisk(path: string): Entry | undefined {
    if (!this.disk.exists(path)) return undefined;
    try {
      return { text: new TextDecoder().decode(this.disk.read(path)) };
    } catch (error) {
      if (error instanceof ProgramError) return undefined;
      throw error;
    }
  }

  /** A check depends on included sources too; those on disk may have changed meanwhile. */
  private forgetChecks(): void {
    this.fromDisk.clear();
    for (const entry of this.open.values()) entry.check = undefined;
  }
}
