import { type Diagnostic, DiagnosticSeverity } from 'vscode-languageserver';
import type { Sources } from './sources.ts';

/**
 * Errors and warnings of an open source, by the path of the file that each is in: the source itself (always there, so that
 * what is mended disappears) and what it includes.
 */
export function diagnose(sources: Sources, path: string): ReadonlyMap<string, Diagnostic[]> {
  const byPath = new Map<string, Diagnostic[]>([[path, []]]);
  for (const { path: file, line, column, length, severity, message, hint } of sources.check(path).diagnostics) {
    const start = { line: Math.max(0, line - 1), character: Math.max(0, column - 1) };
    // Where the assembler names only a place, the word there is meant.
    const word = /^[\w$#@~.?%]+/.exec(sources.index(file)?.lines[start.line]?.slice(start.character) ?? '')?.[0];
    const covered = length > 1 ? length : (word?.length ?? 1);
    const found: Diagnostic = {
      range: { start, end: { line: start.line, character: start.character + covered } },
      severity: severity === 'error' ? DiagnosticSeverity.Error : DiagnosticSeverity.Warning,
      source: 'hyperscope',
      message: hint === undefined ? message : `${message} ${hint}`,
    };
    byPath.set(file, [...(byPath.get(file) ?? []), found]);
  }
  return byPath;
}
