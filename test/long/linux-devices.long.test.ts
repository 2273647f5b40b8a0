import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import { runConsoleCommand } from '../../src/debugger/console/console.ts';
import { type Guest, launchGuest } from '../../src/debugger/launch-guest.ts';
import { initramfs } from '../linux/initramfs.ts';
import { debianKernel } from '../linux/kernel.ts';

const SOURCE = path.resolve(import.meta.dirname, '../linux/devices-init.c');
const COMMAND_LINE = 'console=ttyS0 panic=-1 cryptomgr.notests quiet rdinit=/init';
/** In the order in which they need each other. */
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_mmio',
  'virtio_console',
  'virtio_balloon',
  'vsock',
  'vmw_vsock_virtio_transport_common',
  'vmw_vsock_virtio_transport',
  'fscache',
  'netfs',
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
  const kernel = debianKernel();
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
function runToEnd({ partition }: Guest, answers: Readonly<Record<string, () => void>>): readonly string[] {
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
  const guest = launchGuest(
    {
      program: made.kernel,
      initrd: made.initrd,
      append: COMMAND_LINE,
      memory: '256M',
      vcpus: 2,
      channels: ['org.example.agent'],
      balloon: true,
      vsock: 3,
      shares: [{ tag: 'work', folder: shared }],
    },
    nodeFiles,
  );
  const command = (text: string) => () => runConsoleCommand(guest.session, text);
  const started = performance.now();
  const lines = runToEnd(guest, {
    'channel org.example.agent: hello from inside': command('channel org.example.agent hello from outside'),
    'WAITS for another size': command('resize 132x43'),
    'WAITS for an inflated balloon': command('balloon 32M'),
    'WAITS for a deflated balloon': command('balloon 0'),
  });
  const seconds = (performance.now() - started) / 1000;
  console.log(`${guest.partition.icount} instructions in ${seconds.toFixed(1)} s`);
  expect(lines.slice(lines.indexOf('BEGIN')).filter((line) => !/^\[ *\d/.test(line))).toEqual([
    'BEGIN',
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
  expect(guest.partition.end?.kind).toBe('power-off');
  const shown = runConsoleCommand(guest.session, 'balloon') ?? '';
  console.log(shown);
  expect(readdirSync(shared).sort()).toEqual(['hello.txt', 'outside', 'pattern', 'sub']);
  expect(readFileSync(path.join(shared, 'hello.txt'), 'utf8')).toBe('hello from a folder\n');
  expect(shown).toMatch(/pages +8192 inflated, 8192 deflated +[1-9]\d* reported free/);
});
