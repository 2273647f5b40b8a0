import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const missing = spawnSync('qemu-system-x86_64', ['--version']).error ? 'qemu-system-x86_64 is not installed' : undefined;

describe.skipIf(missing)(`the bench beside QEMU${missing ? ` (skipped: ${missing})` : ''}`, () => {
  test('gives the same checksums, and no ratio that is worse than the baseline allows', () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [path.join(root, 'dist/cli.js'), 'bench', '--rounds', '1', '--seconds', '0.5']
        .concat(['--engines', 'interpreter,translator,qemu'])
        .concat(['--check', path.join(root, 'bench/baseline.json')]),
      { encoding: 'utf8' },
    );
    process.stdout.write(stdout);
    expect({ status, stderr: stderr.replace(/^skipped: .*\n/gm, '') }).toEqual({ status: 0, stderr: '' });
  });
});
