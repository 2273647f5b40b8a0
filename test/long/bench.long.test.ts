import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const missing = spawnSync('qemu-system-x86_64', ['--version']).error ? 'qemu-system-x86_64 is not installed' : undefined;

/** Runs programs of the bench (all when none are named) for `seconds` each, and gives what it found wrong, a line each. */
function problems(seconds: number, programs: readonly string[] = []): string[] {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(root, 'dist/cli.js'), 'bench', '--rounds', '1', '--seconds', String(seconds)]
      .concat(['--engines', 'interpreter,translator,qemu'])
      .concat(['--check', path.join(root, 'bench/baseline.json')])
      .concat(programs.length > 0 ? ['--programs', programs.join()] : []),
    { encoding: 'utf8' },
  );
  process.stdout.write(stdout);
  const lines = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('skipped: '));
  return status === 0 || lines.length > 0 ? lines : [`the bench ended with status ${status}`];
}

describe.skipIf(missing)(`the bench beside QEMU${missing ? ` (skipped: ${missing})` : ''}`, () => {
  test('gives the same checksums, and no ratio that is worse than the baseline allows', () => {
    let found = problems(0.5);
    // Other tests run at the same time: what is slow must be so each time, and for longer.
    for (let attempt = 0; attempt < 3 && found.length > 0; attempt++) {
      const slow = found.map((line) => /^([\w-]+): \S+ is /.exec(line)?.[1]);
      const names = slow.filter((name) => name !== undefined);
      if (names.length < slow.length) break;
      found = problems(3, [...new Set(names)]);
    }
    expect(found).toEqual([]);
  });
});
