import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { initramfs } from './initramfs.ts';
import { debianKernel } from './kernel.ts';

/** The source of the guest's first process. */
export const INIT_SOURCE = path.resolve(import.meta.dirname, 'debug-init.c');
/** The modules that it loads, in their order. */
export const MODULES = ['virtio_ring', 'virtio', 'virtio_mmio', 'virtio_blk'] as const;

/** How the kernel is given: as an ELF file, which stays where it is linked to, or as it is installed, which moves (KASLR). */
export type KernelForm = 'path' | 'image';

/**
 * A launch configuration for Debian's kernel, with a first process that loads modules, and exits so that the kernel panics; or why it
 * can't be had here, as a sentence. Its files are written to `folder`.
 */
export function debugGuest(folder: string, form: KernelForm) {
  const init = path.join(folder, 'debug-init');
  if (process.arch !== 'x64' || spawnSync('gcc', ['-g', '-O1', '-static', '-o', init, INIT_SOURCE]).status !== 0)
    return { reason: 'gcc for x86-64 with a static C library is missing' };
  const kernel = debianKernel();
  if ('reason' in kernel) return kernel;
  const [initrd, disk] = [path.join(folder, 'initramfs.cpio'), path.join(folder, 'disk.img')];
  const files = MODULES.map((name) => ({ name: `${name}.ko`, bytes: readFileSync(path.join(kernel.modules, `${name}.ko`)) }));
  writeFileSync(initrd, initramfs([{ name: 'init', bytes: readFileSync(init) }, ...files]));
  writeFileSync(disk, new Uint8Array(1 << 20));
  const append = 'console=ttyS0 panic=-1 cryptomgr.notests rdinit=/init';
  const options = { initrd, disk: [disk], memory: '256M', append, symbols: [init], stopOnEntry: false };
  return { program: kernel[form], options };
}
