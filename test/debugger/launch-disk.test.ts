import { describe, expect, test } from 'vitest';
import { launchGuest, launchGuests } from '../../src/debugger/launch-guest.ts';
import { type FileAccess, ProgramError } from '../../src/programs/program.ts';
import { handMade } from '../devices/disk-image/qcow2-file.ts';

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

describe.each(['kvm', 'hyperv'] as const)('what a guest on %s writes', (platform) => {
  const image = new Uint8Array(3 * 512);
  const images: Record<string, Uint8Array> = { 'disk.img': image, 'other.img': new Uint8Array(512) };
  const writable: FileAccess = {
    ...files,
    read: (path) => images[path] ?? files.read(path),
    change: (path, pieces) => {
      for (const { offset, bytes } of pieces) images[path]?.set(bytes, offset);
    },
  };
  const start = (...disk: readonly unknown[]) => launchGuests({ program: 'guest.asm', memory: '16M', platform, disk }, writable);

  test('is in the image when it is written back, and nowhere else', () => {
    const group = start({ file: 'disk.img', write: true }, 'other.img');
    for (const disk of group.first.partition.devices.disks) disk.write(disk.size - 512, new Uint8Array(512).fill(7));
    group.first.partition.devices.disks[0]?.clear(0, 512);
    expect([image[1023], image[1024]]).toEqual([0, 0]);
    expect(group.writeBack(writable)).toEqual([]);
    expect([image.length, image[1023], image[1024], image[1535]]).toEqual([3 * 512, 0, 7, 7]);
    expect(images['other.img']?.every((byte) => byte === 0)).toBe(true);
  });

  test('makes no image of another kind of it', () => {
    const group = start({ file: 'disk.img', write: true });
    const magic = Uint8Array.of(0x51, 0x46, 0x49, 0xfb);
    group.first.partition.devices.disks[0]?.write(0, magic);
    expect(group.writeBack(writable)).toEqual([expect.stringContaining('look like that of a qcow2 image')]);
    expect(image[0]).toBe(0);
  });

  test('is told to be lost where it can not be written', () => {
    const group = start({ file: 'disk.img', write: true });
    group.first.partition.devices.disks[0]?.write(0, Uint8Array.of(1));
    const full: FileAccess = {
      ...writable,
      change: () => {
        throw new ProgramError("disk.img can't be written: the disk is full.", 'disk.img');
      },
    };
    expect(group.writeBack(full)).toEqual([
      "What the guest wrote to disk disk.img is not in it: disk.img can't be written: the disk is full.",
    ]);
  });

  test('can not be kept by a disk that is read only, qcow2, or of two places', () => {
    images['disk.qcow2'] = handMade().bytes;
    expect(() => start({ file: 'disk.img', write: true, readOnly: true })).toThrow('read only and written back');
    expect(() => start({ file: 'disk.qcow2', write: true })).toThrow('is qcow2, which is only read; make a raw one');
    expect(() => start({ file: 'disk.img', write: true }, 'disk.img')).toThrow('no other disk can have it');
    expect(() => launch([{ file: 'disk.img', write: true }])).toThrow('where there are no files to write');
    const member = { program: 'guest.asm', memory: '16M', platform, disk: [{ file: 'disk.img', write: true }] };
    const two = [
      { name: 'a', ...member },
      { name: 'b', ...member },
    ];
    expect(() => launchGuests({ partitions: two }, writable)).toThrow('no other disk can have it');
  });
});
