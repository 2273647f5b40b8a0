import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { BALLOON_TARGET, CONSOLE_SIZE, channelInput, encodeConsoleSize, encodePages } from '../../src/devices/virtio/inputs.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { openDisk } from '../../src/platforms/open-disk.ts';
import { openShare } from '../../src/platforms/open-share.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { initramfs } from '../linux/initramfs.ts';
import { debianKernel, GENERIC } from '../linux/kernel.ts';

const SOURCE = path.resolve(import.meta.dirname, '../linux/devices-init.c');
const COMMAND_LINE = 'console=ttyS0 panic=-1 cryptomgr.notests quiet rdinit=/init';
/** In the order in which they need each other. */
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_mmio',
  'virtio_blk',
  'virtio_console',
  'virtio_balloon',
  'vsock',
  'vmw_vsock_virtio_transport_common',
  'vmw_vsock_virtio_transport',
  'netfs',
  'fscache',
  '9pnet',
  '9pnet_virtio',
  '9p',
];
/** Enough for all of it, so that a guest that hangs ends the test. */
const MOST_INSTRUCTIONS = 20_000_000_000n;

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-devices-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the guest boots, or why it can't be had. */
function prepare(): { readonly kernel: string; readonly initrd: string } | { readonly reason: string } {
  const init = path.join(folder, 'init');
  if (process.arch !== 'x64' || spawnSync('gcc', ['-O2', '-static', '-o', init, SOURCE]).status !== 0)
    return { reason: 'gcc for x86-64 with a static C library is missing' };
  // The kernel for virtual machines has no 9p.
  const kernel = debianKernel(GENERIC);
  if ('reason' in kernel) return kernel;
  const lacking = MODULES.find((name) => !existsSync(path.join(kernel.modules, `${name}.ko`)));
  if (lacking) return { reason: `the kernel's package has no uncompressed module ${lacking}` };
  const initrd = path.join(folder, 'initramfs.cpio');
  const files = MODULES.map((name) => ({ name: `${name}.ko`, bytes: readFileSync(path.join(kernel.modules, `${name}.ko`)) }));
  const list = { name: 'modules', bytes: new TextEncoder().encode(MODULES.join('\n')) };
  writeFileSync(initrd, initramfs([{ name: 'init', bytes: readFileSync(init) }, list, ...files]));
  return { kernel: kernel.path, initrd };
}

/** Runs a guest to its end. `answers`: what to do once it has printed a line, or has written one to a channel. */
function runToEnd(partition: GuestPartition, answers: Readonly<Record<string, () => void>>): readonly string[] {
  const lines: string[] = [];
  let open = '';
  partition.onConsole((source, bytes) => {
    open += source === 'serial' ? Buffer.from(bytes).toString('latin1') : `${source}: ${Buffer.from(bytes).toString('latin1')}`;
    const ended = open.replaceAll('\r', '').split('\n');
    open = ended.pop() ?? '';
    lines.push(...ended);
  });
  for (let seen = 0; partition.icount < MOST_INSTRUCTIONS; ) {
    const stop = partition.run({ instructions: 1_000_000 });
    for (; seen < lines.length; seen++) answers[lines[seen] ?? '']?.();
    if (stop.kind === 'ended') break;
  }
  return lines;
}

test("Debian's drivers bind to the other devices, and what goes through them is right", (context) => {
  const made = prepare();
  if ('reason' in made) {
    console.log(`skipped: ${made.reason}`);
    return context.skip(made.reason);
  }
  const shared = path.join(folder, 'shared');
  const pattern = Uint8Array.from({ length: 300_000 }, (_, index) => index * 13);
  mkdirSync(path.join(shared, 'sub'), { recursive: true });
  writeFileSync(path.join(shared, 'hello.txt'), 'hello from a folder\n');
  writeFileSync(path.join(shared, 'pattern'), pattern);
  symlinkSync('/etc/hostname', path.join(shared, 'outside'));
  const [raw, packed] = [path.join(folder, 'disk.img'), path.join(folder, 'disk.qcow2')];
  writeFileSync(raw, new Uint8Array(4 << 20).fill(0xd5));
  // Compressed, where there is who does it.
  const disk = spawnSync('qemu-img', ['convert', '-c', '-O', 'qcow2', raw, packed]).status === 0 ? packed : raw;
  const channel = 'org.example.agent';
  const partition = createPartition(
    {
      platform: 'kvm',
      vendor: 'intel',
      commandLine: COMMAND_LINE,
      memory: 256 << 20,
      vcpus: 2,
      initrd: nodeFiles.read(made.initrd),
      disks: [
        openDisk({ file: disk, queues: 2, serial: 'a serial' }, nodeFiles),
        openDisk({ file: raw, readOnly: true }, nodeFiles),
      ],
      virtio: {
        channels: [channel],
        balloon: true,
        vsock: 3,
        shares: [openShare({ tag: 'work', folder: shared }, nodeFiles)],
      },
    },
    loadProgram(nodeFiles.read(made.kernel), made.kernel, {}, nodeFiles),
  );
  const send = (to: string, bytes: Uint8Array) => () => {
    expect(partition.sendToDevice(to, bytes)).toBe(true);
  };
  const started = performance.now();
  const lines = runToEnd(partition, {
    [`channel ${channel}: hello from inside`]: send(channelInput(channel), Buffer.from('hello from outside\n')),
    'WAITS for another size': send(CONSOLE_SIZE, encodeConsoleSize({ columns: 132, rows: 43 })),
    'WAITS for an inflated balloon': send(BALLOON_TARGET, encodePages(8192)),
    'WAITS for a deflated balloon': send(BALLOON_TARGET, encodePages(0)),
  });
  const seconds = (performance.now() - started) / 1000;
  console.log(`${partition.icount} instructions in ${seconds.toFixed(1)} s`);
  expect(lines.slice(lines.indexOf('BEGIN')).filter((line) => !/^\[ *\d/.test(line))).toEqual([
    'BEGIN',
    'disk: MiB 0 has 1048576 full and 0 empty bytes',
    'disk: MiB 1 has 0 full and 1048576 empty bytes',
    'disk: MiB 2 has 1036288 full and 12288 empty bytes',
    'disk: MiB 3 has 1048576 full and 0 empty bytes',
    'disks: 2 queues, serial a serial, the second one is only read',
    'channel org.example.agent: hello from inside',
    'channel: 19 bytes, hello from outside',
    'console: 80 x 25',
    'WAITS for another size',
    'console: 132 x 43',
    'socket, stream: 100000 bytes came back alike, then 0',
    'socket, messages: 20000 bytes came back alike, then 0',
    'socket to a port where nothing listens: Connection reset by peer',
    'folder: hello.txt outside pattern sub',
    'folder: hello from a folder',
    'folder: 300000 bytes, 0 of them wrong',
    'folder: 300000 written, 0, 0, 300000 read alike',
    'folder: 0, 0',
    'folder: No such file or directory',
    'WAITS for an inflated balloon',
    'balloon: inflated',
    'WAITS for a deflated balloon',
    'balloon: deflated',
    'balloon: 0 pages are not what they should be',
    'END',
  ]);
  expect(partition.end?.kind).toBe('power-off');
  expect(readdirSync(shared).sort()).toEqual(['hello.txt', 'outside', 'pattern', 'sub']);
  expect(readFileSync(path.join(shared, 'hello.txt'), 'utf8')).toBe('hello from a folder\n');
  const balloon = partition.devices.inspect().children?.find(({ name }) => name === 'virtio-balloon');
  const pages = balloon?.children?.find(({ name }) => name === 'pages');
  expect(pages?.value).toBe('8192 inflated, 8192 deflated');
  expect(pages?.detail).toMatch(/^[1-9]\d* reported free/);
});
