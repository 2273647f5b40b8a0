import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { kernelPayload } from './lz4.ts';

/** Modules that tests load. Their folder's name has a number that grows with them. */
const MODULES =
  /\/(virtio[^/]*|hv_[^/]*|hyperv[-_][^/]*|pci-hyperv[^/]*|hid|hid-hyperv|evdev|scsi_(common|mod|transport_fc)|sd_mod|qemu_fw_cfg|[^/]*failover|[^/]*vsock[^/]*|9p|9pnet|9pnet_virtio|netfs|fscache)\.ko$/;

const CACHE = path.resolve(import.meta.dirname, '../../build/linux');

function output(command: string, args: readonly string[], cwd: string): Buffer | undefined {
  const { status, stdout, error } = spawnSync(command, [...args], { cwd, maxBuffer: 256 << 20 });
  return error || status !== 0 ? undefined : stdout;
}

/** Debian's kernels: for virtual machines, and for all, which has more drivers. */
const CLOUD = 'linux-image-cloud-amd64';
export const GENERIC = 'linux-image-amd64';

/**
 * A kernel of Debian as an ELF file, out of a package that depends on the newest one: its path, or why it can't be had here, as a
 * sentence. It is made once and kept in build/, with the compressed image as the package has it (`image`), and its modules
 * of virtio and Hyper-V in the folder `modules`.
 */
export function debianKernel(
  newest: typeof CLOUD | typeof GENERIC = CLOUD,
): { readonly path: string; readonly image: string; readonly modules: string } | { readonly reason: string } {
  const depends = output('apt-cache', ['depends', newest], '/')?.toString() ?? '';
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (!name) return { reason: `apt knows no package ${newest} here (apt-get update may help)` };
  const made = path.join(CACHE, `${name}.elf`);
  const modules = path.join(CACHE, `${name}-modules-5`);
  const kept = path.join(CACHE, `${name}.vmlinuz`);
  const guest = { path: made, image: kept, modules };
  if (Object.values(guest).every((file) => existsSync(file))) return guest;
  return withPackage(name, (root) => {
    const boot = path.join(root, 'boot');
    const image = readdirSync(boot).find((file) => file.startsWith('vmlinuz'));
    const bytes = image && readFileSync(path.join(boot, image));
    const elf = bytes && (kernelPayload(bytes) ?? unpackXz(bytes));
    if (!elf) return { reason: `the kernel in ${name} is not compressed by LZ4, nor by XZ with xz here` };
    mkdirSync(modules, { recursive: true });
    copyFileSync(path.join(boot, image), kept);
    const tree = path.join(root, 'lib/modules');
    for (const file of readdirSync(tree, { recursive: true, encoding: 'utf8' }))
      if (MODULES.test(file)) copyFileSync(path.join(tree, file), path.join(modules, path.basename(file)));
    writeFileSync(`${made}.${process.pid}`, elf);
    renameSync(`${made}.${process.pid}`, made);
    return guest;
  });
}

/** The payload of a kernel image that is compressed by XZ, unpacked by the program of that name; undefined where there is none. */
function unpackXz(image: Buffer): Buffer | undefined {
  const start = image.indexOf(Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0));
  if (start < 0) return undefined;
  // Behind the stream stands the size of the whole.
  const options = { input: image.subarray(start), maxBuffer: 256 << 20 };
  const { stdout, error } = spawnSync('xz', ['--decompress', '--stdout', '--single-stream', '--quiet'], options);
  return error || stdout.length === 0 ? undefined : stdout;
}

/** Debian's busybox, which needs no libraries: its path, or why it can't be had here, as a sentence. */
export function debianBusybox(): { readonly path: string } | { readonly reason: string } {
  const made = path.join(CACHE, 'busybox');
  if (existsSync(made)) return { path: made };
  return withPackage('busybox-static', (root) => {
    const found = readdirSync(root, { recursive: true, encoding: 'utf8' }).find((file) => /bin\/busybox$/.test(file));
    if (found === undefined) return { reason: 'the package busybox-static has no busybox' };
    mkdirSync(CACHE, { recursive: true });
    copyFileSync(path.join(root, found), `${made}.${process.pid}`);
    renameSync(`${made}.${process.pid}`, made);
    return { path: made };
  });
}

/**
 * One of Debian's services for a child of Hyper-V (it keeps key-value pairs, or has file systems frozen), with the C library that it needs
 * and what loads it: their paths, or why they can't be had here, as a sentence.
 */
export function debianDaemon(
  service: 'hv_kvp_daemon' | 'hv_vss_daemon',
): { readonly files: readonly string[] } | { readonly reason: string } {
  const parts = [
    ['hyperv-daemons', service === 'hv_kvp_daemon' ? /sbin\/hv_kvp_daemon$/ : /sbin\/hv_vss_daemon$/],
    ['libc6', /lib\/x86_64-linux-gnu\/libc\.so\.6$/],
    ['libc6', /lib\/x86_64-linux-gnu\/ld-linux-x86-64\.so\.2$/],
  ] as const;
  const files: string[] = [];
  for (const [name, pattern] of parts) {
    const made = path.join(CACHE, pattern.source.replaceAll('\\', '').split('/').at(-1)?.replace('$', '') ?? '');
    if (!existsSync(made)) {
      const problem = withPackage(name, (root) => {
        const found = readdirSync(root, { recursive: true, encoding: 'utf8' }).find((file) => pattern.test(file));
        if (found === undefined) return { reason: `the package ${name} has nothing like ${pattern.source}` };
        mkdirSync(CACHE, { recursive: true });
        copyFileSync(path.join(root, found), `${made}.${process.pid}`);
        renameSync(`${made}.${process.pid}`, made);
        return undefined;
      });
      if (problem) return problem;
    }
    files.push(made);
  }
  return { files };
}

/** Unpacks a package of Debian for as long as `use` takes, which gets its folder. */
function withPackage<Result>(name: string, use: (root: string) => Result): Result | { readonly reason: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-package-'));
  try {
    if (!output('apt-get', ['download', '-q', name], folder)) return { reason: `apt-get can't download ${name}` };
    const [deb = ''] = readdirSync(folder);
    if (!output('dpkg-deb', ['-x', deb, 'root'], folder)) return { reason: `dpkg-deb can't unpack ${deb}` };
    return use(path.join(folder, 'root'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
