import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { codesOfText } from '../../src/devices/keyboard/scan-codes.ts';
import { KEYBOARD_INPUT } from '../../src/platforms/hyperv/vsps/keyboard.ts';
import { openDisk } from '../../src/platforms/open-disk.ts';
import { writeBack } from '../../src/platforms/write-back.ts';
import { BootedGuest, hypervGuest } from '../linux/hyperv-guest.ts';

/** In the order in which they need each other. */
const MODULES = ['hv_vmbus', 'scsi_common', 'scsi_mod', 'scsi_transport_fc', 'sd_mod', 'hv_storvsc', 'evdev', 'hyperv-keyboard'];
/** Of a million instructions. */
const MOST_SLICES = 20_000;
const MIB = 1 << 20;

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-hyperv-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Makes an ext4 file system with one file; undefined where mkfs is missing. */
function fileSystem(): string | undefined {
  const image = path.join(folder, 'root.img');
  const root = path.join(folder, 'root');
  mkdirSync(root);
  writeFileSync(path.join(root, 'greeting'), 'hello disk');
  writeFileSync(image, new Uint8Array(16 * MIB));
  return spawnSync('mkfs.ext4', ['-q', '-d', root, image]).status === 0 ? image : undefined;
}

/** What is in a file of the file system of an image. */
function fileIn(image: string, name: string): Buffer {
  return spawnSync('debugfs', ['-R', `cat ${name}`, image], { maxBuffer: 8 * MIB }).stdout;
}

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');

test("Debian's storvsc and hyperv_keyboard: disks, a file that is in the image afterwards, and keys", (context) => {
  const guest = hypervGuest({ init: 'hyperv-devices-init.sh', modules: MODULES });
  if ('reason' in guest) return context.skip(guest.reason);
  const image = fileSystem();
  if (image === undefined) return context.skip('mkfs.ext4 is missing');
  const plain = path.join(folder, 'plain.img');
  writeFileSync(plain, new Uint8Array(4 * MIB).fill(0xa5));
  const disks = [
    openDisk({ file: image, write: true }, nodeFiles),
    openDisk({ file: plain, serial: 'SECOND', write: true }, nodeFiles),
    openDisk(
      { file: path.join(folder, 'third.img'), readOnly: true },
      { ...nodeFiles, open: () => nodeFiles.open?.(plain) ?? none() },
    ),
  ];
  const linux = new BootedGuest(guest, { vcpus: 2, disks });
  const { partition } = linux;
  linux.onMark = (mark) => {
    if (mark === 'type') partition.sendToDevice(KEYBOARD_INPUT, codesOfText('aZ'));
  };
  linux.until(() => partition.end !== undefined, MOST_SLICES);
  const { marks } = linux;
  const value = (name: string) => marks.find((mark) => mark.startsWith(`${name} `))?.slice(name.length + 1);
  const random = value('random');
  expect(marks).toEqual([
    `sda ${16 * 2048} 0 write back`,
    `sdb ${4 * 2048} 0 write back`,
    // Linux has no use for the cache of a disk that it can't write to.
    `sdc ${4 * 2048} 1 write through`,
    'queues 2',
    'serial SECOND',
    'greeting hello disk',
    `random ${random}`,
    `again ${random}`,
    `before ${md5(new Uint8Array(512).fill(0xa5))}`,
    `discarded ${md5(new Uint8Array(512))}`,
    'refused',
    // The machine has one at its keyboard controller, too.
    'keyboard 2',
    'type',
    'key 30 1',
    'key 30 0',
    'key 42 1',
    'key 44 1',
    'ready',
  ]);
  expect(writeBack({ devices: partition.devices, disks }, nodeFiles)).toEqual([]);
  expect(spawnSync('e2fsck', ['-fn', image]).status).toBe(0);
  expect(md5(fileIn(image, '/random'))).toBe(random);
  expect(readFileSync(plain).every((byte) => byte === 0)).toBe(true);
});

function none(): never {
  throw new Error('these files can be opened');
}
