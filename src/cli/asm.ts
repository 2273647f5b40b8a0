import { writeFileSync } from 'node:fs';
import { assemble } from '../programs/assembler/assemble.ts';
import { fileProblem, nodeFiles } from './node-files.ts';
import { parse } from './options.ts';
import { UsageError } from './usage.ts';

const FORMATS = ['bin', 'elf', 'elf32', 'elf64'] as const;

/** `hyperscope asm FILE -o OUT`: returns the exit status, 1 when the source has errors. */
export function asmCommand(args: readonly string[]): number {
  const { values, positionals } = parse(
    args,
    { output: { type: 'string', short: 'o' }, format: { type: 'string', short: 'f' } },
    'asm',
  );
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0) throw new UsageError('asm takes one source file; see `hyperscope help asm`.');
  if (values.output === undefined) throw new UsageError('asm needs -o OUT: where the result goes.');
  const format = FORMATS.find((name) => name === (values.format ?? 'elf'));
  if (format === undefined) throw new UsageError(`-f takes ${FORMATS.join(', ')}, not "${values.format}".`);
  const result = assemble(file, nodeFiles, { format });
  for (const { path, line, column, message, hint, severity } of result.diagnostics)
    process.stderr.write(`${path}:${line}:${column}: ${severity}: ${message}${hint === undefined ? '' : ` (${hint})`}\n`);
  if (result.bytes === undefined) return 1;
  try {
    writeFileSync(values.output, result.bytes);
  } catch (error) {
    throw new UsageError(`${values.output} can't be written: ${fileProblem(error)}.`);
  }
  return 0;
}
