import { expect, test } from 'vitest';
import { launchGuest } from '../../src/debugger/launch-guest.ts';
import { type FileAccess, ProgramError } from '../../src/programs/program.ts';

const FILES: Readonly<Record<string, Uint8Array>> = {
  'guest.asm': new TextEncoder().encode('bits 64\n_start: hlt\n'),
  'disk.img': new Uint8Array(3 * 512),
  'odd.img': new Uint8Array(100),
};
const files: FileAccess = {
  read: (path) => {
    const bytes = FILES[path];
    if (bytes === undefined) throw new ProgramError(`${path} can't be read: there is no such file or folder.`, path);
    return bytes;
  },
  exists: (path) => path in FILES,
  resolve: (_from, relative) => relative,
};
const launch = (disk: unknown) => launchGuest({ program: 'guest.asm', memory: '16M', disk }, files);

test('the attribute `disk` gives the machine its disks', () => {
  const { partition } = launch(['disk.img', { file: 'disk.img', serial: 'A1', readOnly: true, queues: 2 }]);
  const names = partition.devices.inspect().children?.map(({ name }) => name);
  expect(names?.slice(-4)).toEqual(['virtio-blk', 'virtio-blk-1', 'virtio-rng', 'virtio-console']);
  const shown = partition.devices.inspect().children?.find(({ name }) => name === 'virtio-blk-1')?.children;
  expect(shown?.map(({ name }) => name)).toEqual(expect.arrayContaining(['queue 1: requests 1', 'access']));
  expect(shown?.find(({ name }) => name === 'capacity')?.detail).toBe('1536 bytes, id A1');
});

test.each([
  ['disk.img', '"disk" must be a list of files such as ["disk.img"], not "disk.img".'],
  [[5], '"disk" must be a list of files such as ["disk.img"], or of objects with'],
  [[{ file: 'disk.img', sreial: 'x' }], '"disk" must be a list of files such as ["disk.img"], or of objects with'],
  [[{ file: 'disk.img', serial: 'x'.repeat(21) }], "of disk disk.img can't be: it takes up to 20 characters of ASCII."],
  [['missing.img'], "missing.img can't be read: there is no such file or folder."],
  [['odd.img'], 'The disk image odd.img has 100 bytes'],
])('a disk that can not be is refused: %j', (disk, message) => {
  expect(() => launch(disk)).toThrow(message);
});
