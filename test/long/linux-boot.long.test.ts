import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { busyboxInitramfs } from '../linux/busybox-initramfs.ts';
import { ConsoleGuest } from '../linux/console-guest.ts';
import { debianBusybox, debianKernel } from '../linux/kernel.ts';

const CLI = path.resolve(import.meta.dirname, '../../dist/cli.js');
const PROMPT = 'guest# ';
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_mmio',
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio-rng',
];
const COMMAND_LINE = 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init';
const BOOTS = 10;

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-boot-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Options that boot Debian's kernel as its package has it with a busybox; or why they can't be had. */
function prepare(): { readonly options: readonly string[] } | { readonly reason: string } {
  const kernel = debianKernel();
  if ('reason' in kernel) return kernel;
  const busybox = debianBusybox();
  if ('reason' in busybox) return busybox;
  const initrd = path.join(folder, 'initramfs.cpio');
  const parts = { busybox: busybox.path, modules: kernel.modules };
  writeFileSync(initrd, busyboxInitramfs(parts, 'shell-init.sh', MODULES));
  return { options: [kernel.image, '--platform', 'kvm', '--initrd', initrd] };
}

const guest = prepare();
const reason = 'reason' in guest ? guest.reason : undefined;
const options = 'options' in guest ? guest.options : [];
if (reason) console.log(`skipped: ${reason}`);

describe.skipIf(reason)("Debian's kernel as it is installed", () => {
  for (const [machine, vcpus, restart] of [
    ['microvm', 1, 'poweroff -f'],
    ['pc', 2, 'reboot -f'],
  ] as const)
    test(`reaches a shell on machine ${machine} with ${vcpus} vCPUs, answers what is typed, and ends by ${restart}`, async () => {
      const append = ['--append', COMMAND_LINE, '--machine', machine, '--vcpus', String(vcpus)];
      const shell = new ConsoleGuest([...options, ...append]);
      await shell.until(PROMPT);
      expect(await shell.run('nproc', PROMPT)).toBe(`${vcpus}\n`);
      expect(await shell.run('date -u +%Y', PROMPT)).toBe('2026\n');
      expect(await shell.run('cat /sys/devices/system/clocksource/clocksource0/available_clocksource', PROMPT)).toMatch(
        /kvm-clock/,
      );
      expect(await shell.run('cat /sys/class/misc/hw_random/rng_current', PROMPT)).toMatch(/^virtio_rng/);
      expect(await shell.run('sleep 1; echo $((6 * 7))', PROMPT)).toBe('42\n');
      expect(await shell.run('dmesg | grep -c "MP-BIOS bug\\|unchecked MSR\\|Call Trace"', PROMPT)).toBe('0\n');
      shell.type(restart);
      const { status, errors } = await shell.end();
      const reset = 'hyperscope: The guest reset the machine through ';
      expect([status, errors.startsWith(reset) || errors === '']).toEqual([0, true]);
    });

  test(`is in the same state at its mark in ${BOOTS} boots, whatever KASLR chose`, () => {
    const args = [CLI, 'run', ...options, '--append', `${COMMAND_LINE} quiet once`, '--state-hash'];
    const hashes = Array.from({ length: BOOTS }, () => {
      const run = spawnSync(process.execPath, args, { encoding: 'latin1', maxBuffer: 64 << 20 });
      expect(run.stdout).toMatch(/^MARK 1 /m);
      expect(run.status).toBe(0);
      return run.stderr.trim();
    });
    expect(hashes[0]).toMatch(/^[0-9a-f]{16}$/);
    expect(new Set(hashes).size).toBe(1);
  });
});
