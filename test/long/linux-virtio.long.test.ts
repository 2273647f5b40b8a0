import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { initramfs } from '../linux/initramfs.ts';
import { debianKernel } from '../linux/kernel.ts';

const CLI = path.resolve(import.meta.dirname, '../../dist/cli.js');
const SOURCE = path.resolve(import.meta.dirname, '../linux/virtio-init.c');
const COMMAND_LINE = 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init';
const MODULES = ['virtio_ring', 'virtio', 'virtio_mmio', 'virtio_blk', 'virtio-rng', 'virtio_console'];
const SECTOR = 512;
const SECTORS = 8192;
/** Sectors whose bytes the guest knows. */
const PATTERN_SECTORS = 256;

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-virtio-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the guest boots: its kernel and the modules' folder; or why it can't be had. */
function prepare(): { readonly kernel: string; readonly modules: string; readonly init: string } | { readonly reason: string } {
  const init = path.join(folder, 'init');
  if (process.arch !== 'x64' || spawnSync('gcc', ['-O2', '-static', '-o', init, SOURCE]).status !== 0)
    return { reason: 'gcc for x86-64 with a static C library is missing' };
  const kernel = debianKernel();
  if ('reason' in kernel) return kernel;
  const lacking = MODULES.find((name) => !existsSync(path.join(kernel.modules, `${name}.ko`)));
  if (lacking) return { reason: `the kernel's package has no uncompressed module ${lacking}` };
  return { kernel: kernel.path, modules: kernel.modules, init };
}

function diskImage(): Uint8Array {
  const image = new Uint8Array(SECTORS * SECTOR);
  for (let sector = 0; sector < PATTERN_SECTORS; sector++)
    for (let at = 0; at < SECTOR; at++) image[sector * SECTOR + at] = sector * 7 + at;
  return image;
}

test("the drivers of Debian's kernel bind to disk, entropy and console, and their data are right", (context) => {
  const guest = prepare();
  if ('reason' in guest) {
    console.log(`skipped: ${guest.reason}`);
    return context.skip(guest.reason);
  }
  const { kernel, modules, init } = guest;
  const [initrd, disk] = [path.join(folder, 'initramfs.cpio'), path.join(folder, 'disk.img')];
  const files = MODULES.map((name) => ({ name: `${name}.ko`, bytes: readFileSync(path.join(modules, `${name}.ko`)) }));
  const image = diskImage();
  writeFileSync(initrd, initramfs([{ name: 'init', bytes: readFileSync(init) }, ...files]));
  writeFileSync(disk, image);
  const options = ['--memory', '256M', '--vcpus', '2', '--initrd', initrd, '--disk', disk, '--append', COMMAND_LINE];
  const run = spawnSync(process.execPath, [CLI, 'run', kernel, ...options], { encoding: 'latin1', maxBuffer: 64 << 20 });
  const lines = run.stdout.replaceAll('\r', '').split('BEGIN\n')[1]?.split('\n') ?? [];
  // Features by bit, the first one first: SIZE_MAX, SEG_MAX, BLK_SIZE … INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_PACKED.
  const features = '0110001001000110000000000000110010100000000000000000000000000000';
  expect(lines.filter((line) => !/^(\[ *\d|END$|$)/.test(line))).toEqual([
    `/sys/bus/virtio/devices/virtio0/features ${features}`,
    `/sys/block/vda/size ${SECTORS}`,
    '/sys/block/vda/serial hyperscope-disk0',
    '/sys/class/misc/hw_random/rng_current virtio_rng.0',
    'disk: 0 bytes are not what they should be',
    'disk: written and read back alike',
    'entropy: 64 bytes, random',
    'hello through hvc0',
  ]);
  expect([run.status, run.stderr]).toEqual([0, '']);
  expect(Buffer.compare(readFileSync(disk), image)).toBe(0);
});
