import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { nodeFiles } from '../../../src/cli/node-files.ts';
import { openDisk } from '../../../src/platforms/open-disk.ts';
import { Random } from '../../support/random.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-qcow2-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string) => path.join(folder, name);
const run = (command: string, ...args: readonly string[]) => spawnSync(command, [...args], { cwd: folder, encoding: 'utf8' });
const MIB = 1 << 20;
const SIZE = 3 * MIB;
const hasQemuImg = run('qemu-img', '--version').status === 0;
if (!hasQemuImg) console.log('skipped: qemu-img is missing (Debian has it in qemu-utils)');

function make(...args: readonly string[]): void {
  const { status, stderr } = run('qemu-img', ...args);
  if (status !== 0) throw new Error(stderr);
}

/** Runs of text, of random bytes and of zeroes. */
function content(seed: number): Uint8Array {
  const random = new Random(seed);
  const bytes = new Uint8Array(SIZE);
  for (let at = 0; at < SIZE; at += 50_000) {
    const kind = random.below(3);
    if (kind > 0) bytes.set(kind === 1 ? random.bytes(40_000) : new Uint8Array(40_000).fill(random.below(256)), at);
    if (at + 100_000 > SIZE) break;
  }
  return bytes;
}

function expectSame(name: string, expected: Uint8Array): void {
  const { image } = openDisk(file(name), nodeFiles);
  expect(image.size).toBe(expected.length);
  const random = new Random(1);
  for (let round = 0; round < 60; round++) {
    const offset = random.below(expected.length - 1);
    const length = Math.min(random.between(1, 200_000), expected.length - offset);
    expect(Buffer.compare(image.read(offset, length), expected.subarray(offset, offset + length))).toBe(0);
  }
  expect(Buffer.compare(image.read(0, expected.length), expected)).toBe(0);
}

describe.runIf(hasQemuImg)('images that qemu-img makes are read as it does', () => {
  const bytes = content(1);

  test.each([
    ['version 2', ['-o', 'compat=0.10']],
    ['version 3', []],
    ['version 3, clusters of 512 bytes', ['-o', 'cluster_size=512']],
    ['version 3, clusters of 2 MiB', ['-o', 'cluster_size=2M']],
    ['compressed', ['-c']],
    ['compressed, version 2, clusters of 4 KiB', ['-c', '-o', 'compat=0.10,cluster_size=4096']],
    ['with room for all', ['-o', 'preallocation=metadata']],
  ])('%s', (name, options) => {
    writeFileSync(file('source.img'), bytes);
    make('convert', '-O', 'qcow2', ...options, 'source.img', 'made.qcow2');
    expectSame('made.qcow2', bytes);
    expect(name).not.toBe('');
  });

  test('on a smaller raw base, with zeroes and data over it', () => {
    const base = bytes.slice(0, 2 * MIB);
    writeFileSync(file('base.img'), base);
    make('create', '-q', '-f', 'qcow2', '-b', 'base.img', '-F', 'raw', 'over.qcow2', String(SIZE));
    const io = run(
      'qemu-io',
      '-c',
      'write -z 64k 128k',
      '-c',
      'write -P 0x5a 1M 70000',
      '-c',
      'write -P 7 2500k 512',
      'over.qcow2',
    );
    expect(io.stderr).toBe('');
    const expected = new Uint8Array(SIZE);
    expected.set(base);
    expected.fill(0, 65536, 3 * 65536);
    expected.fill(0x5a, MIB, MIB + 70_000);
    expected.fill(7, 2500 * 1024, 2500 * 1024 + 512);
    expectSame('over.qcow2', expected);
  });

  test('on a compressed base that is on another one', () => {
    writeFileSync(file('source.img'), bytes);
    make('convert', '-O', 'qcow2', '-c', 'source.img', 'first.qcow2');
    make('create', '-q', '-f', 'qcow2', '-b', 'first.qcow2', '-F', 'qcow2', 'second.qcow2');
    make('create', '-q', '-f', 'qcow2', '-b', 'second.qcow2', '-F', 'qcow2', 'third.qcow2');
    expectSame('third.qcow2', bytes);
  });

  test.each([
    ['zstd', ['-o', 'compression_type=zstd'], 'is compressed by zstd'],
    ['subclusters', ['-o', 'extended_l2=on'], 'has extended entries'],
    ['data in another file', ['-o', 'data_file=data.raw'], 'keeps its data in another file'],
  ])('what can not be read is refused: %s', (_what, options, message) => {
    make('create', '-q', '-f', 'qcow2', ...options, 'refused.qcow2', '1M');
    expect(() => openDisk(file('refused.qcow2'), nodeFiles)).toThrow(message);
  });

  test('a disk of 100 GB is opened at once', () => {
    make('create', '-q', '-f', 'qcow2', 'huge.qcow2', '100G');
    const { image } = openDisk(file('huge.qcow2'), nodeFiles);
    expect([image.size, image.read(image.size - 512, 512).every((byte) => byte === 0)]).toEqual([100 * 1024 * MIB, true]);
  });
});

test('a raw image of gigabytes is read in parts', () => {
  writeFileSync(file('large.img'), 'start');
  truncateSync(file('large.img'), 3 * 1024 * MIB);
  expect(statSync(file('large.img')).size).toBe(3 * 1024 * MIB);
  const { image } = openDisk(file('large.img'), nodeFiles);
  expect(image.size).toBe(3 * 1024 * MIB);
  expect(new TextDecoder().decode(image.read(0, 5))).toBe('start');
  expect(image.read(image.size - 4, 4)).toEqual(new Uint8Array(4));
});

test('a file that is cut off while it is used can not be read any more', () => {
  writeFileSync(file('cut.img'), new Uint8Array(4096));
  const { image } = openDisk(file('cut.img'), nodeFiles);
  truncateSync(file('cut.img'), 1024);
  expect(image.read(512, 512)).toHaveLength(512);
  expect(() => image.read(512, 1024)).toThrow('is damaged or cut off');
});

test('files that can not be opened are refused', () => {
  expect(() => openDisk(file('missing.img'), nodeFiles)).toThrow('there is no such file or folder');
  expect(() => openDisk(folder, nodeFiles)).toThrow('it is a folder');
});
