import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { imageOfBytes } from '../../src/devices/disk-image/raw-image.ts';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { assemble } from '../../src/programs/assembler/assemble.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { runToEnd } from './run-guest.ts';

const QEMU = 'qemu-system-x86_64';
const missing = spawnSync(QEMU, ['--version']).status === 0 ? '' : ` (skipped: ${QEMU} is not installed)`;

/** What a guest of this folder prints under QEMU, and what machines of ours let it print. */
function outputs(
  source: string,
  devices: (folder: string) => readonly string[],
  ours: readonly Partial<PartitionConfiguration>[],
) {
  const { bytes, diagnostics } = assemble(path.join(import.meta.dirname, 'guests', source), nodeFiles, { format: 'elf32' });
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  if (bytes === undefined) throw new Error('no bytes');
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-qemu-'));
  try {
    const file = path.join(folder, 'devices.elf');
    writeFileSync(file, bytes);
    const printed = path.join(folder, 'serial.txt');
    // A pipe may lose what is printed last when QEMU ends; a file doesn't.
    const machine = ['-M', 'pc', '-accel', 'tcg', '-m', '64M', '-display', 'none', '-serial', `file:${printed}`, '-no-reboot'];
    const exit = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];
    const theirs = spawnSync(QEMU, [...machine, ...exit, ...devices(folder), '-kernel', file], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(theirs.status).toBe(1);
    const texts = ours.map((configuration) => {
      const program = loadProgram(bytes, 'devices.elf', {}, nodeFiles);
      const run = runToEnd(
        createPartition({ platform: 'kvm', vendor: 'intel', memory: 64 << 20, vcpus: 1, ...configuration }, program),
      );
      expect(run.end).toMatchObject({ kind: 'debug-exit', status: 1 });
      return run.text;
    });
    return { theirs: readFileSync(printed, 'utf8').replaceAll('\r', ''), ours: texts };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test.skipIf(missing !== '')(`devices show what those of QEMU show${missing}`, () => {
  const { theirs, ours } = outputs('devices.asm', () => [], [{ platform: 'bare' }, { platform: 'kvm' }]);
  expect(ours).toEqual([theirs, theirs]);
});

test.skipIf(missing !== '')(
  `a virtio disk on PCI and the firmware's configuration show what those of QEMU show${missing}`,
  () => {
    const disk = (folder: string) => {
      const file = path.join(folder, 'disk.img');
      writeFileSync(file, new Uint8Array(64 * 512));
      return [
        ...['-drive', `if=none,id=disk,format=raw,file=${file}`],
        ...['-device', 'virtio-blk-pci,disable-legacy=on,drive=disk'],
      ];
    };
    const disks = [{ path: 'disk.img', image: imageOfBytes(new Uint8Array(64 * 512)) }];
    const { theirs, ours } = outputs('pc-machine.asm', disk, [{ machine: 'pc', disks }]);
    expect(ours).toEqual([theirs]);
  },
);
