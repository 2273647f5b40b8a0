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
const DEVICE_MODULES = ['virtio_ring', 'virtio', 'virtio_blk', 'virtio-rng', 'virtio_console'];
const PCI_MODULES = ['virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci'];
const MODULES = [...DEVICE_MODULES, ...PCI_MODULES, 'virtio_mmio', 'qemu_fw_cfg'];

interface Case {
  readonly machine: 'microvm' | 'pc';
  readonly transport: readonly string[];
  /** Added to the command line. */
  readonly append?: string;
  /** By bit, the first one first: SIZE_MAX, SEG_MAX, BLK_SIZE … INDIRECT_DESC, EVENT_IDX, VERSION_1, RING_PACKED, on PCI RING_RESET. */
  readonly features: string;
  /** What else the guest shows. */
  readonly others?: readonly string[];
  /** Of the devices, as Linux names them. */
  readonly interrupts: readonly string[];
  /** Without ACPI the guest can't switch the machine off. */
  readonly end?: string;
}
const PC = {
  machine: 'pc',
  transport: PCI_MODULES,
  features: '0110001001000110000000000000110010100000100000000000000000000000',
} as const;
const PINS = ['pin virtio0', 'pin virtio1', 'pin virtio2'];
const MESSAGES = ['0-config', '0-req.0', '1-config', '1-input', '2-config', '2-input', '2-output'];

const CASES: Readonly<Record<string, Case>> = {
  microvm: {
    machine: 'microvm',
    transport: ['virtio_mmio'],
    features: '0110001001000110000000000000110010100000000000000000000000000000',
    interrupts: PINS,
  },
  pc: {
    ...PC,
    transport: [...PCI_MODULES, 'qemu_fw_cfg'],
    // The map of memory has three ranges of 20 bytes.
    others: ['/sys/firmware/qemu_fw_cfg/rev 3', '/sys/firmware/qemu_fw_cfg/by_name/etc/e820/size 60'],
    interrupts: MESSAGES.map((name) => `message virtio${name}`),
  },
  'pc with interrupts by pins of the I/O APIC': { ...PC, append: 'pci=nomsi', interrupts: PINS },
  'pc with interrupts by the PICs, found without ACPI': {
    ...PC,
    append: 'acpi=off',
    interrupts: ['pin virtio1', 'pin virtio0, virtio2'],
    end: 'halted',
  },
};
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

test.for(Object.keys(CASES))(
  "the drivers of Debian's kernel bind to disk, entropy and console of a %s, and their data are right",
  (name, context) => {
    const guest = prepare();
    if ('reason' in guest) {
      console.log(`skipped: ${guest.reason}`);
      return context.skip(guest.reason);
    }
    const { kernel, modules, init } = guest;
    const [initrd, disk] = [path.join(folder, 'initramfs.cpio'), path.join(folder, 'disk.img')];
    const kind = CASES[name];
    if (kind === undefined) throw new Error(`there is no case ${name}`);
    const { machine, transport, append, features, others = [], interrupts } = kind;
    const files = [...DEVICE_MODULES, ...transport].map((name) => ({
      name: `${name}.ko`,
      bytes: readFileSync(path.join(modules, `${name}.ko`)),
    }));
    const image = diskImage();
    writeFileSync(initrd, initramfs([{ name: 'init', bytes: readFileSync(init) }, ...files]));
    writeFileSync(disk, image);
    const options = [
      '--machine',
      machine,
      '--stats',
      '--memory',
      '256M',
      '--vcpus',
      '2',
      '--initrd',
      initrd,
      '--disk',
      disk,
      '--append',
      append ? `${COMMAND_LINE} ${append}` : COMMAND_LINE,
    ];
    const run = spawnSync(process.execPath, [CLI, 'run', kernel, ...options], { encoding: 'latin1', maxBuffer: 64 << 20 });
    const lines = run.stdout.replaceAll('\r', '').split('BEGIN\n')[1]?.split('\n') ?? [];
    expect(lines.filter((line) => !/^(\[ *\d|END$|$)/.test(line))).toEqual([
      `/sys/bus/virtio/devices/virtio0/features ${features}`,
      `/sys/block/vda/size ${SECTORS}`,
      '/sys/block/vda/serial hyperscope-disk0',
      '/sys/class/misc/hw_random/rng_current virtio_rng.0',
      ...others,
      'disk: 0 bytes are not what they should be',
      'disk: written and read back alike',
      'entropy: 64 bytes, random',
      'hello through hvc0',
      ...interrupts.map((name) => `interrupt: ${name}`),
    ]);
    const { instructions, exits, end }: Record<string, unknown> = JSON.parse(run.stderr);
    console.log(`${name}: ${instructions} instructions, ${exits} exits to the end`);
    expect([run.status, end]).toEqual([0, kind.end ?? 'power-off']);
    expect(Buffer.compare(readFileSync(disk), image)).toBe(0);
  },
);
