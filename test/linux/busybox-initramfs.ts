import { readFileSync } from 'node:fs';
import path from 'node:path';
import { initramfs } from './initramfs.ts';

/** What Debian's kernel and busybox of this machine are, as kernel.ts finds them. */
interface Parts {
  readonly busybox: string;
  /** The folder of the kernel's modules. */
  readonly modules: string;
}

/**
 * A first root file system with busybox, modules that its script loads in this order (`/modules` lists them), the script, and other files by
 * their paths.
 */
export function busyboxInitramfs(
  { busybox, modules }: Parts,
  script: string,
  names: readonly string[],
  files: readonly string[] = [],
): Uint8Array {
  return initramfs([
    { name: 'init', bytes: readFileSync(path.join(import.meta.dirname, script)) },
    { name: 'busybox', bytes: readFileSync(busybox) },
    { name: 'modules', bytes: new TextEncoder().encode(names.join('\n')) },
    ...names.map((name) => ({ name: `${name}.ko`, bytes: readFileSync(path.join(modules, `${name}.ko`)) })),
    ...files.map((file) => ({ name: path.basename(file), bytes: readFileSync(file) })),
  ]);
}
