import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { initramfs } from '../linux/initramfs.ts';
import { debianKernel } from '../linux/kernel.ts';

const CLI = path.resolve(import.meta.dirname, '../../dist/cli.js');
const SOURCE = path.resolve(import.meta.dirname, '../linux/paravirtual-init.c');
const COMMAND_LINE = 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init';
/** What the kernel says of each of KVM's interfaces that it uses. */
const SAYS = [
  'Hypervisor detected: KVM',
  'kvm-clock: Using msrs 4b564d01 and 4b564d00',
  'kvm-guest: setup PV sched yield',
  'kvm-guest: PV spinlocks enabled',
  'kvm-guest: setup PV IPIs',
  'Switched to clocksource kvm-clock',
];

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-paravirtual-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function prepare(): { readonly kernel: string; readonly initrd: string } | { readonly reason: string } {
  const init = path.join(folder, 'init');
  if (process.arch !== 'x64' || spawnSync('gcc', ['-O2', '-static', '-pthread', '-o', init, SOURCE]).status !== 0)
    return { reason: 'gcc for x86-64 with a static C library is missing' };
  const kernel = debianKernel();
  if ('reason' in kernel) return kernel;
  const initrd = path.join(folder, 'initramfs.cpio');
  writeFileSync(initrd, initramfs([{ name: 'init', bytes: readFileSync(init) }]));
  return { kernel: kernel.path, initrd };
}

const prepared = prepare();

for (const vendor of ['intel', 'amd'])
  test(`Debian's kernel on two vCPUs of KVM uses what it is offered: ${vendor}`, (context) => {
    if ('reason' in prepared) {
      console.log(`skipped: ${prepared.reason}`);
      return context.skip(prepared.reason);
    }
    const { kernel, initrd } = prepared;
    const guest = spawnSync(
      process.execPath,
      [CLI, 'run', kernel, '--vendor', vendor, '--vcpus', '2', '--memory', '256M', '--initrd', initrd, '--append', COMMAND_LINE],
      { encoding: 'latin1', maxBuffer: 64 << 20 },
    );
    expect(guest.status).toBe(0);
    for (const line of SAYS) expect(guest.stdout).toContain(line);
    // Threads of the other vCPU, which never runs at the same time, have their TLB flushed without an interrupt.
    expect(guest.stdout).toMatch(/TLB: +0 +0 +TLB shootdowns/);
    expect(guest.stdout).toContain('rounds done');
  });
