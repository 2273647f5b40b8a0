import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { assemble } from '../../src/programs/assembler/assemble.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { runToEnd } from './run-guest.ts';

const QEMU = 'qemu-system-x86_64';
const missing = spawnSync(QEMU, ['--version']).status === 0 ? '' : ` (skipped: ${QEMU} is not installed)`;
const source = path.join(import.meta.dirname, 'guests/devices.asm');

test.skipIf(missing !== '')(`devices show what those of QEMU show${missing}`, () => {
  const { bytes, diagnostics } = assemble(source, nodeFiles, { format: 'elf32' });
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  if (bytes === undefined) throw new Error('no bytes');
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-qemu-'));
  try {
    const file = path.join(folder, 'devices.elf');
    writeFileSync(file, bytes);
    const machine = ['-M', 'pc', '-accel', 'tcg', '-m', '64M', '-display', 'none', '-serial', 'stdio', '-no-reboot'];
    const exit = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];
    const theirs = spawnSync(QEMU, [...machine, ...exit, '-kernel', file], { encoding: 'utf8', timeout: 60_000 });
    expect(theirs.status).toBe(1);
    for (const platform of ['bare', 'kvm'] as const) {
      const program = loadProgram(bytes, 'devices.elf', {}, nodeFiles);
      const ours = runToEnd(createPartition({ platform, vendor: 'intel', memory: 64 << 20, vcpus: 1 }, program));
      expect(ours.end).toMatchObject({ kind: 'debug-exit', status: 1 });
      expect(ours.text).toBe(theirs.stdout.replaceAll('\r', ''));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
