import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { busyboxInitramfs } from './busybox-initramfs.ts';
import { debianBusybox, debianKernel } from './kernel.ts';

/** Linux's drivers of what Hyper-V's parent partition has for a child, in the order in which they need each other. */
const MODULES = [
  'hv_vmbus',
  'scsi_common',
  'scsi_mod',
  'scsi_transport_fc',
  'hv_storvsc',
  'sd_mod',
  'hv_netvsc',
  'hv_utils',
  'hyperv-keyboard',
];

export const HYPERV_COMMAND_LINE = 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init';

/** What a Linux that is a child of Hyper-V boots: the kernel's path and its first file system, with files; or why it can't be had. */
export function hypervGuest(
  files: readonly string[] = [],
): { readonly kernel: string; readonly initrd: Uint8Array } | { readonly reason: string } {
  const [kernel, busybox] = [debianKernel(), debianBusybox()];
  if ('reason' in kernel) return kernel;
  if ('reason' in busybox) return busybox;
  const lacking = MODULES.find((name) => !existsSync(path.join(kernel.modules, `${name}.ko`)));
  if (lacking) return { reason: `the kernel's package has no uncompressed module ${lacking}` };
  const initrd = busyboxInitramfs({ busybox: busybox.path, modules: kernel.modules }, 'hyperv-init.sh', MODULES, files);
  return { kernel: kernel.path, initrd };
}

/** Makes an ext4 disk with a file `greeting` in a folder: its path, or why it can't be had here, as a sentence. */
export function greetingDisk(folder: string, greeting: string): { readonly path: string } | { readonly reason: string } {
  const [root, image] = [path.join(folder, 'root'), path.join(folder, 'disk.img')];
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  writeFileSync(path.join(root, 'greeting'), greeting);
  writeFileSync(image, '');
  truncateSync(image, 8 << 20);
  const made = spawnSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-d', root, image], { encoding: 'utf8' });
  return made.status === 0
    ? { path: image }
    : { reason: `mke2fs can't fill an image: ${made.stderr?.trim() ?? 'it is not installed'}` };
}

/** A file out of an ext4 image, as text. */
export function fileOfDisk(image: string, name: string): string {
  return spawnSync('debugfs', ['-R', `cat /${name}`, image], { encoding: 'latin1', maxBuffer: 64 << 20 }).stdout;
}
