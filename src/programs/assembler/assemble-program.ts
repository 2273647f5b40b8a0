import {
  type FileAccess,
  type Program,
  ProgramError,
  type ProgramSymbol,
  type SourceLine,
  type SourceLines,
} from '../program.ts';
import { assembleSource, labels, orderedSections, PROGRAM_ORIGIN } from './assemble.ts';
import type { Assembly } from './assembly.ts';

const BOOT_SECTOR_ADDRESS = 0x7c00n;

/**
 * Assembles a source into a program that is ready to run: entered at `_start` or at its first byte, in the mode of its first
 * `bits`, placed at its `org`, at 7C00 for 16-bit code, else at 1 MiB. Throws ProgramError with the first error.
 */
export function assembleProgram(path: string, files: FileAccess): Program {
  let source = assembleSource(path, files, PROGRAM_ORIGIN);
  const isReal = (source.assembly.firstBits ?? (source.assembly.origin === BOOT_SECTOR_ADDRESS ? 16 : undefined)) === 16;
  if (isReal && source.assembly.origin === undefined) source = assembleSource(path, files, BOOT_SECTOR_ADDRESS);
  const error = source.diagnostics.find(({ severity }) => severity === 'error');
  if (error) throw new ProgramError(error.message, error.path, error.line, error.column, error.hint);
  const { assembly } = source;
  const mode = assembly.firstBits ?? (assembly.origin === BOOT_SECTOR_ADDRESS ? 16 : 64);
  const sections = orderedSections(assembly);
  const [first] = sections;
  if (!first) throw new ProgramError(`${path} assembles to nothing; there is no instruction to run.`, path);
  const sourceLines = linesOf(assembly);
  return {
    kind: 'assembly',
    path,
    protocol: 'plain',
    mode,
    entry: BigInt.asUintN(64, assembly.symbols.get('_start')?.value.number ?? first.start),
    segments: sections.map(({ load, bytes, size }) => ({ gpa: load, bytes, size })),
    symbols: sourceLines.symbols,
    sourceLines,
    sections: new Map(),
  };
}

/** The line table: each statement that made bytes, at its place in the source. */
export function linesOf(assembly: Assembly): SourceLines {
  const files = new Map<string, number>();
  const lines: SourceLine[] = [];
  for (const { statement, section, offset, length, isCode } of assembly.lines) {
    if (!isCode) continue;
    const { path, line } = statement.place;
    let file = files.get(path);
    if (file === undefined) {
      file = files.size;
      files.set(path, file);
    }
    lines.push({ address: (assembly.sections.get(section)?.start ?? 0n) + BigInt(offset), length, file, line });
  }
  lines.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  return { files: [...files.keys()], lines, symbols: symbolsOf(assembly) };
}

const KINDS: Readonly<Record<string, ProgramSymbol['kind']>> = { function: 'function', data: 'object', object: 'object' };

function symbolsOf(assembly: Assembly): ProgramSymbol[] {
  return labels(assembly).map(({ name, value }) => ({
    name,
    address: BigInt.asUintN(64, value.number),
    size: 0,
    kind: KINDS[assembly.globals.get(name) ?? ''] ?? 'label',
    global: assembly.globals.has(name),
  }));
}
