import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { assemble } from '../../src/programs/assembler/assemble.ts';

const root = path.resolve(import.meta.dirname, '../..');
const samples = readdirSync(path.join(root, 'samples'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.asm'),
);
const hasNasm = spawnSync('nasm', ['-v']).status === 0;

describe('every sample assembles to the bytes that nasm makes', () => {
  test.skipIf(!hasNasm).each(samples)('%s', (sample) => {
    const source = path.join(root, 'samples', sample);
    const out = path.join(mkdtempSync(path.join(tmpdir(), 'hyperscope-')), 'out.bin');
    execFileSync('nasm', ['-f', 'bin', '-I', `${path.dirname(source)}/`, source, '-o', out]);
    const result = assemble(source, nodeFiles, { format: 'bin' });
    expect(result.diagnostics).toEqual([]);
    expect(Buffer.from(result.bytes ?? []).toString('hex')).toBe(readFileSync(out).toString('hex'));
  });

  test('each has a comment on top that says what to look at', () => {
    for (const sample of samples)
      expect(readFileSync(path.join(root, 'samples', sample), 'utf8'), sample).toMatch(
        /^; [^\n]*\n(;[^\n]*\n)*; What to look at/,
      );
  });
});
