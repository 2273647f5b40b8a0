import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { busyboxInitramfs } from '../linux/busybox-initramfs.ts';
import { ConsoleGuest } from '../linux/console-guest.ts';
import { debianDisk } from '../linux/debian-disk.ts';
import { debianBusybox, debianKernel } from '../linux/kernel.ts';

const MODULES = ['virtio_ring', 'virtio', 'virtio_mmio', 'virtio_blk'];
const PROMPT = 'root@guest:~# ';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-debian-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Options that boot a Debian from a disk; or why they can't be had. */
function prepare(): { readonly options: readonly string[] } | { readonly reason: string } {
  const kernel = debianKernel();
  if ('reason' in kernel) return kernel;
  const busybox = debianBusybox();
  if ('reason' in busybox) return busybox;
  const disk = debianDisk();
  if ('reason' in disk) return disk;
  const initrd = path.join(folder, 'initramfs.cpio');
  writeFileSync(initrd, busyboxInitramfs({ busybox: busybox.path, modules: kernel.modules }, 'switch-root.sh', MODULES));
  return { options: [kernel.image, '--memory', '512M', '--initrd', initrd, '--disk', disk.path] };
}

test('a Debian boots from its disk with systemd, takes a login, and runs apt-get and python3', async (context) => {
  const guest = prepare();
  if ('reason' in guest) {
    console.log(`skipped: ${guest.reason}`);
    return context.skip(guest.reason);
  }
  const debian = new ConsoleGuest([
    ...guest.options,
    ...['--append', 'console=ttyS0 panic=-1 cryptomgr.notests systemd.show_status=0 TERM=dumb'],
  ]);
  await debian.until('guest login: ');
  debian.type('root');
  await debian.until(PROMPT);
  expect(await debian.run('cat /proc/1/comm', PROMPT)).toBe('systemd\n');
  expect(await debian.run('apt-get --version | head -n 1', PROMPT)).toMatch(/^apt 2\.\d+.* \(amd64\)\n$/);
  expect(await debian.run('python3 -c "print(sum(n * n for n in range(1000)), 2 ** 100)"', PROMPT)).toBe(
    '332833500 1267650600228229401496703205376\n',
  );
  expect(await debian.run('systemctl --failed --no-legend --plain | wc -l', PROMPT)).toBe('0\n');
  expect(await debian.run('echo kept > /root/file; sync; cat /root/file', PROMPT)).toBe('kept\n');
  debian.type('systemctl poweroff');
  expect(await debian.end()).toEqual({ status: 0, errors: '' });
});
