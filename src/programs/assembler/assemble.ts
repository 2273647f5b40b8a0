import type { FileAccess } from '../program.ts';
import { ProgramError } from '../program.ts';
import { type AssembledSymbol, Assembly } from './assembly.ts';
import { AssemblyError, type Diagnostic } from './diagnostic.ts';
import { Preprocessor } from './preprocessor/preprocessor.ts';
import { MAX_SIZE, type Section } from './section.ts';
import { parseStatement, type Statement } from './statement.ts';
import { writeElf } from './write-elf.ts';

export interface AssembleOptions {
  /** `bin`: the bytes alone; elf32, elf64: an executable with line information; `elf`: the one that suits the first `bits`. */
  readonly format: 'bin' | 'elf' | 'elf32' | 'elf64';
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
    diagnostics.push(wholeFile(path, error));
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

/** Sections that hold something, in the order that they have in memory. */
export function orderedSections(assembly: Assembly): Section[] {
  return [...assembly.sections.values()]
    .filter(({ size }) => size > 0)
    .sort((a, b) => (a.load < b.load ? -1 : a.load > b.load ? 1 : 0));
}

/** All bytes from the first section's start to the last byte that isn't only reserved. Throws ProgramError. */
export function flatImage(assembly: Assembly): Uint8Array {
  const filled = orderedSections(assembly).filter(({ noBits }) => !noBits);
  const [first] = filled;
  const start = assembly.sections.get('.text')?.load ?? first?.load ?? 0n;
  const end = filled.reduce((last, { load, size }) => (load + BigInt(size) > last ? load + BigInt(size) : last), start);
  if (first && first.load < start) throw new ProgramError(`The section ${first.name} starts before the program does.`);
  if (end - start > BigInt(MAX_SIZE))
    throw new ProgramError(
      'The sections lie too far apart for a flat file; look at their start= attributes, or make an ELF file.',
    );
  const bytes = new Uint8Array(Number(end - start));
  for (const section of filled) bytes.set(section.bytes, Number(section.load - start));
  return bytes;
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
  try {
    const is64 = options.format === 'elf64' || (options.format === 'elf' && (assembly.firstBits ?? 64) === 64);
    return { bytes: options.format === 'bin' ? flatImage(assembly) : writeElf(assembly, is64), diagnostics };
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    return { bytes: undefined, diagnostics: [...diagnostics, wholeFile(path, error)] };
  }
}

/** A diagnostic that no line of the source is to blame for. */
function wholeFile(path: string, { message, hint }: ProgramError | AssemblyError): Diagnostic {
  return { path, line: 1, column: 1, length: 1, severity: 'error', message, hint };
}
