import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { busyboxInitramfs } from '../linux/busybox-initramfs.ts';
import { ConsoleGuest } from '../linux/console-guest.ts';
import { debianBusybox, debianKernel, GENERIC } from '../linux/kernel.ts';

const PROMPT = 'guest# ';

const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-keyboard-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("Debian's kernel finds the keyboard behind a PC's controller, whose pin is edge-triggered", async (context) => {
  // The kernel for virtual machines has no such driver.
  const [kernel, busybox] = [debianKernel(GENERIC), debianBusybox()];
  if ('reason' in kernel) return context.skip(kernel.reason);
  if ('reason' in busybox) return context.skip(busybox.reason);
  const initrd = path.join(folder, 'initramfs.cpio');
  writeFileSync(initrd, busyboxInitramfs({ busybox: busybox.path, modules: kernel.modules }, 'shell-init.sh', []));
  const linux = new ConsoleGuest([
    ...[kernel.path, '--machine', 'pc', '--memory', '256M', '--initrd', initrd],
    ...['--append', 'console=ttyS0 panic=-1 cryptomgr.notests quiet TERM=dumb'],
  ]);
  await linux.until(PROMPT);
  expect(await linux.run('grep Name /proc/bus/input/devices', PROMPT)).toContain('N: Name="AT Translated Set 2 keyboard"');
  linux.type('poweroff -f');
  expect(await linux.end()).toEqual({ status: 0, errors: '' });
});
