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
const launch = (disk: unknown, more = {}) => launchGuest({ program: 'guest.asm', memory: '16M', disk, ...more }, files);

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

test('on hyperv disks are the logical units of a SCSI controller', () => {
  const { partition } = launch(['disk.img', { file: 'disk.img', serial: 'A1', readOnly: true }], { platform: 'hyperv' });
  const units = partition.devices.inspect().children?.find(({ name }) => name === 'scsi')?.children;
  expect(units?.map(({ name }) => name)).toEqual(['LUN 0', 'LUN 1']);
  expect(units?.[1]?.children?.slice(0, 2)).toEqual([
    { name: 'capacity', value: '3 blocks', detail: '1536 bytes, serial number A1' },
    { name: 'access', value: 'read only' },
  ]);
  expect(partition.devices.disks.map(({ size }) => size)).toEqual([1536, 1536]);
  expect(partition.virtioDevices).toEqual([]);
});

test.each([
  [
    new Array(65).fill('disk.img'),
    'A partition on hyperv can have 64 disks, which are the logical units of its SCSI controller; 65 were',
  ],
  [[{ file: 'disk.img', queues: 2 }], 'Queues are those of a virtio disk, but on hyperv disk disk.img is a SCSI one'],
])('a disk that can not be on hyperv is refused', (disk, message) => {
  expect(() => launch(disk, { platform: 'hyperv' })).toThrow(message);
});
