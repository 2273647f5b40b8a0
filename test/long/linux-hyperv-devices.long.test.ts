import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { codesOfText } from '../../src/devices/keyboard/scan-codes.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { KEYBOARD_INPUT } from '../../src/platforms/hyperv/vsps/keyboard.ts';
import { openDisk } from '../../src/platforms/open-disk.ts';
import { writeBack } from '../../src/platforms/write-back.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { busyboxInitramfs } from '../linux/busybox-initramfs.ts';
import { debianBusybox, debianKernel } from '../linux/kernel.ts';

/** In the order in which they need each other. */
const MODULES = ['hv_vmbus', 'scsi_common', 'scsi_mod', 'scsi_transport_fc', 'sd_mod', 'hv_storvsc', 'evdev', 'hyperv-keyboard'];
const MOST_INSTRUCTIONS = 20_000_000_000n;
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

/** Runs a guest to its end; gives what it marked, and has `typed` sent to its keyboard when it asks for it. */
function runToEnd(partition: GuestPartition, typed: Uint8Array): readonly string[] {
  const marks: string[] = [];
  let open = '';
  partition.onConsole((_source, bytes) => {
    const lines = (open + Buffer.from(bytes).toString('latin1')).replaceAll('\r', '').split('\n');
    open = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('@ ')) marks.push(line.slice(2));
      if (line === '@ type') partition.sendToDevice(KEYBOARD_INPUT, typed);
    }
  });
  while (partition.icount < MOST_INSTRUCTIONS) if (partition.run({ instructions: 1_000_000 }).kind === 'ended') break;
  return marks;
}

test("Debian's storvsc and hyperv_keyboard: disks, a file that is in the image afterwards, and keys", (context) => {
  const kernel = debianKernel();
  const busybox = debianBusybox();
  if ('reason' in kernel) return context.skip(kernel.reason);
  if ('reason' in busybox) return context.skip(busybox.reason);
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
  const program = loadProgram(nodeFiles.read(kernel.image), kernel.image, {}, nodeFiles);
  const partition = createPartition(
    {
      platform: 'hyperv',
      vendor: 'intel',
      vcpus: 2,
      disks,
      initrd: busyboxInitramfs({ busybox: busybox.path, modules: kernel.modules }, 'hyperv-devices-init.sh', MODULES),
      commandLine: 'console=ttyS0 quiet panic=-1 cryptomgr.notests',
    },
    program,
  );
  const marks = runToEnd(partition, codesOfText('aZ'));
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
