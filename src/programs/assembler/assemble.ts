import type { FileAccess } from '../program.ts';
import { ProgramError } from '../program.ts';
import { type AssembledSymbol, Assembly, type Section } from './assembly.ts';
import { AssemblyError, type Diagnostic } from './diagnostic.ts';
import { Preprocessor } from './preprocessor.ts';
import { parseStatement, type Statement } from './statement.ts';
import { writeElf } from './write-elf.ts';

export interface AssembleOptions {
  /** `bin`: the bytes alone; elf32, elf64: an executable with line information. */
  readonly format: 'bin' | 'elf32' | 'elf64';
}

export interface AssemblyResult {
  /** Undefined when there are errors. */
  readonly bytes: Uint8Array | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** What the front end makes of a source, before output. */
export interface AssembledSource {
  readonly assembly: Assembly;
  readonly preprocessor: Preprocessor;
  readonly statements: readonly Statement[];
  readonly diagnostics: readonly Diagnostic[];
}

export const PROGRAM_ORIGIN = 0x10_0000n;

/** Preprocesses, parses and assembles. Never throws for a bad source. */
export function assembleSource(path: string, files: FileAccess, origin: bigint): AssembledSource {
  const preprocessor = new Preprocessor(files);
  const diagnostics: Diagnostic[] = [];
  const statements: Statement[] = [];
  try {
    for (const { text, place } of preprocessor.run(path)) {
      try {
        const statement = parseStatement(text, place);
        if (statement) statements.push(statement);
      } catch (error) {
        if (!(error instanceof AssemblyError)) throw error;
        diagnostics.push({
          ...place,
          column: error.column ?? 1,
          length: error.length,
          severity: 'error',
          message: error.message,
          hint: error.hint,
        });
        if (diagnostics.length >= 100) break;
      }
    }
  } catch (error) {
    if (!(error instanceof ProgramError) && !(error instanceof AssemblyError)) throw error;
    diagnostics.push({ path, line: 1, column: 1, length: 1, severity: 'error', message: error.message, hint: error.hint });
  }
  const assembly = new Assembly(statements, files, { origin });
  assembly.run();
  return {
    assembly,
    preprocessor,
    statements,
    diagnostics: [...preprocessor.diagnostics, ...diagnostics, ...assembly.diagnostics],
  };
}

/** Sections in the order that they have in memory. */
export function orderedSections(assembly: Assembly): Section[] {
  return [...assembly.sections.values()]
    .filter(({ size }) => size > 0)
    .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
}

/** All bytes from the first section's start to the last byte that isn't only reserved. */
export function flatImage(assembly: Assembly): { readonly start: bigint; readonly bytes: Uint8Array; readonly size: number } {
  const sections = orderedSections(assembly);
  const start = sections[0]?.start ?? assembly.origin ?? 0n;
  const end = (section: Section) => Number(section.start - start) + section.size;
  const filled = sections.filter(({ noBits }) => !noBits);
  const bytes = new Uint8Array(Math.max(0, ...filled.map(end)));
  for (const section of filled) bytes.set(section.bytes, Number(section.start - start));
  return { start, bytes, size: Math.max(0, ...sections.map(end)) };
}

/** Labels with addresses, without the local names of macros. */
export function labels(assembly: Assembly): AssembledSymbol[] {
  return [...assembly.symbols.values()].filter(
    ({ kind, name, value }) => kind === 'label' && value.section !== undefined && !name.startsWith('..@'),
  );
}

/** Assembles a source for the command line. */
export function assemble(path: string, files: FileAccess, options: AssembleOptions): AssemblyResult {
  const source = assembleSource(path, files, options.format === 'bin' ? 0n : PROGRAM_ORIGIN);
  const { diagnostics, assembly } = source;
  if (diagnostics.some(({ severity }) => severity === 'error')) return { bytes: undefined, diagnostics };
  const bytes = options.format === 'bin' ? flatImage(assembly).bytes : writeElf(assembly, options.format === 'elf64');
  return { bytes, diagnostics };
}
