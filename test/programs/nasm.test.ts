import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { assemble } from '../../src/programs/assembler/assemble.ts';
import { Random } from '../support/random.ts';
import { AssemblyGenerator, type Mode } from './generated-assembly.ts';

const INSTRUCTIONS_PER_MODE = 2000;
const PROGRAMS = 200;
const hasNasm = spawnSync('nasm', ['-v']).status === 0;
const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-nasm-'));

/** Runs nasm; returns the numbers of the lines that it refuses. */
function refused(source: string, out: string, listing?: string): Set<number> {
  const { stderr } = spawnSync('nasm', ['-f', 'bin', source, '-o', out, ...(listing ? ['-l', listing] : []), '-w-all'], {
    encoding: 'utf8',
  });
  return new Set([...stderr.matchAll(/:(\d+): error/g)].map(([, line]) => Number(line)));
}

/** Bytes by line, from a listing. */
function bytesByLine(listing: string): Map<number, string> {
  const bytes = new Map<number, string>();
  for (const line of readFileSync(listing, 'utf8').split('\n')) {
    const found = /^\s*(\d+) [0-9A-F]{8} ([0-9A-F[\]()]+)(-?)/.exec(line);
    if (found?.[1] && found[2])
      bytes.set(Number(found[1]), (bytes.get(Number(found[1])) ?? '') + found[2].replaceAll(/[[\]()]/g, '').toLowerCase());
  }
  return bytes;
}

describe.skipIf(!hasNasm)('the assembler makes the bytes that nasm makes', () => {
  test.each([16, 32, 64] as const)('for generated instructions in %d-bit mode', (mode: Mode) => {
    const generator = new AssemblyGenerator(new Random(mode), mode);
    const lines = Array.from({ length: INSTRUCTIONS_PER_MODE }, () => generator.instruction());
    const source = path.join(folder, `instructions-${mode}.asm`);
    const text = (list: readonly string[]) => `bits ${mode}\n${list.join('\n')}\n`;
    writeFileSync(source, text(lines));
    const bad = refused(source, path.join(folder, 'out.bin'));
    const good = lines.filter((_, index) => !bad.has(index + 2));
    expect(good.length).toBeGreaterThan(INSTRUCTIONS_PER_MODE * 0.85);
    writeFileSync(source, text(good));
    const listing = path.join(folder, 'out.lst');
    expect(refused(source, path.join(folder, 'out.bin'), listing)).toEqual(new Set());
    const expected = bytesByLine(listing);
    const single = path.join(folder, 'single.asm');
    const differences: string[] = [];
    good.forEach((line, index) => {
      // Alone in its file, so that one difference doesn't move the rest; positions matter to nothing but `rel`.
      const wanted = expected.get(index + 2);
      if (line.includes('rel ')) return;
      writeFileSync(single, `bits ${mode}\n${line}\n`);
      const { bytes, diagnostics } = assemble(single, nodeFiles, { format: 'bin' });
      const own = bytes ? Buffer.from(bytes).toString('hex') : (diagnostics[0]?.message ?? '?');
      if (own !== wanted) differences.push(`${line}: ${own}, nasm ${wanted}`);
    });
    expect(differences, `${differences.length} differences:\n${differences.slice(0, 40).join('\n')}\n`).toEqual([]);
  });

  test(`for ${PROGRAMS} generated programs`, () => {
    const differences: string[] = [];
    for (let seed = 0; seed < PROGRAMS; seed++) {
      const random = new Random(1000 + seed);
      const mode = ([16, 32, 64] as const)[seed % 3] ?? 64;
      let lines = new AssemblyGenerator(random, mode).program().split('\n');
      const source = path.join(folder, 'program.asm');
      const out = path.join(folder, 'program.bin');
      writeFileSync(source, lines.join('\n'));
      for (let round = 0; round < 5; round++) {
        const bad = refused(source, out);
        if (bad.size === 0) break;
        lines = lines.filter((_, index) => !bad.has(index + 1));
        writeFileSync(source, lines.join('\n'));
      }
      const { bytes, diagnostics } = assemble(source, nodeFiles, { format: 'bin' });
      const own = bytes ? Buffer.from(bytes).toString('hex') : (diagnostics[0]?.message ?? '?');
      const wanted = readFileSync(out).toString('hex');
      if (own !== wanted)
        differences.push(
          `seed ${1000 + seed}: ${bytes ? `first difference at byte ${firstDifference(own, wanted)}` : `${diagnostics[0]?.line}: ${own}`}`,
        );
    }
    expect(differences).toEqual([]);
  });
});

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at >> 1;
}
