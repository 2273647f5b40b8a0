import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { imageOfBytes } from '../../src/devices/disk-image/raw-image.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { loadProgram } from '../../src/programs/load-program.ts';

const SAMPLES = path.resolve(import.meta.dirname, '../../samples');

function sample(file: string, configuration: Partial<PartitionConfiguration>): GuestPartition {
  const program = loadProgram(readFileSync(file), file, {}, nodeFiles);
  return createPartition({ platform: 'kvm', vendor: 'intel', memory: 16 << 20, vcpus: 1, ...configuration }, program);
}

/** Runs a guest to its end, and types a text each time that it waits for one. */
function talk(partition: GuestPartition, ...texts: readonly string[]) {
  let printed = '';
  partition.onConsole((_source, bytes) => {
    printed += new TextDecoder().decode(bytes);
  });
  for (const text of [...texts, undefined])
    for (;;) {
      const stop = partition.run({ instructions: 100_000 });
      if (stop.kind === 'ended') return { printed, end: stop.end.kind, hash: partition.stateHash() };
      if (stop.kind !== 'idle') continue;
      if (text === undefined) throw new Error(`the guest waits for more after "${printed}"`);
      partition.sendConsole(new TextEncoder().encode(text));
      break;
    }
  throw new Error('the guest does not end');
}

const disks = [{ path: 'disk.img', image: imageOfBytes(readFileSync(path.join(SAMPLES, 'kvm/disk.img'))) }];

describe('the console in assembly', () => {
  const file = path.join(SAMPLES, 'kvm/virtio-console.asm');

  test.each(['intel', 'amd'] as const)('gives back what is typed in capitals, woken by interrupts, on %s', (vendor) => {
    const guest = () => sample(file, { machine: 'microvm', vendor });
    const first = talk(guest(), 'hello ', 'there 42\n');
    expect([first.printed, first.end]).toEqual([
      'Hello from a virtio console. Type something, and Enter.\nHELLO THERE 42\n',
      'power-off',
    ]);
    expect(talk(sample(file, { machine: 'microvm', vendor, translator: 0 }), 'hello ', 'there 42\n').hash).toBe(first.hash);
  });

  test('has its buffer in the queue while it sleeps', () => {
    const guest = sample(file, { machine: 'microvm' });
    while (guest.run({ instructions: 100_000 }).kind !== 'idle');
    const console = guest.virtioDevices.find(({ name }) => name === 'virtio-console');
    expect(console?.session.pictureOf(0)?.chains).toMatchObject([{ state: 'waiting', links: [{ length: 64 }] }]);
    expect(console?.session.pictureOf(1)?.chains).toMatchObject([{ state: 'used' }]);
  });

  test('says so where no console is', () => {
    expect(talk(sample(file, {})).printed).toBe('no virtio console: run it with --machine microvm\n');
  });
});

const missing = ['gcc', 'make'].find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status !== 0);

describe.skipIf(missing !== undefined)(`in C${missing ? ` (skipped: no ${missing})` : ''}`, () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-virtio-samples-'));
    cpSync(SAMPLES, folder, { recursive: true, filter: (file) => !/\.(o|elf)$/.test(file) });
    execFileSync('make', ['-C', path.join(folder, 'kvm/c'), 'CC=gcc -Werror'], { stdio: ['ignore', 'ignore', 'pipe'] });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const built = (name: string) => path.join(folder, 'kvm/c', name);

  test('the disk is read, written and named', () => {
    const { printed, end } = talk(sample(built('virtio-blk.elf'), { disks }));
    expect([printed, end]).toEqual(['hyperscope-disk0: 8 sectors\nHello from a sector of a disk\n', 'power-off']);
  });

  test('the console counts the letters of lines', () => {
    const { printed, end } = talk(sample(built('virtio-console.elf'), { machine: 'microvm' }), 'hello\nab', 'c\n', '\n');
    expect([printed, end]).toEqual(['Type lines; an empty one ends it.\n05 letters\n03 letters\n', 'power-off']);
  });

  test.each([
    ['virtio-blk.elf', 'no virtio disk: give the guest one with --disk\n'],
    ['virtio-console.elf', 'no virtio console: run it with --machine microvm\n'],
  ])('%s says what is missing', (name, sentence) => {
    expect(talk(sample(built(name), {}))).toMatchObject({ printed: sentence, end: 'debug-exit' });
  });
});
