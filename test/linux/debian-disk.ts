import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const CACHE = path.resolve(import.meta.dirname, '../../build/linux');
const RELEASE = 'bookworm';
const PACKAGES = ['systemd', 'systemd-sysv', 'udev', 'kmod', 'login', 'dbus', 'python3-minimal'];
const SIZE = 768 * 1024 * 1024;

/**
 * A disk with a Debian as debootstrap makes it, whose root has no password: its path, or why it can't be had here, as a sentence. It is
 * made once and kept in build/.
 */
export function debianDisk(): { readonly path: string } | { readonly reason: string } {
  const made = path.join(CACHE, `${RELEASE}.img`);
  if (existsSync(made)) return { path: made };
  if (process.getuid?.() !== 0) return { reason: 'debootstrap needs root' };
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-debian-'));
  const root = path.join(folder, 'root');
  const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  try {
    // Where this machine has its packages from; where that is no Debian, debootstrap knows a place.
    const mirrors = run('apt-get', 'indextargets', '--format', '$(SITE)', `Codename: ${RELEASE}`, 'Created-By: Packages').stdout;
    const mirror = mirrors?.split('\n').filter((site) => site !== '') ?? [];
    const include = `--include=${PACKAGES.join(',')}`;
    const debian = run('debootstrap', '--variant=minbase', include, RELEASE, root, ...mirror.slice(0, 1));
    if (debian.error) return { reason: 'debootstrap is not installed' };
    if (debian.status !== 0) return { reason: `debootstrap failed: ${debian.stdout.trim().split('\n').at(-1)}` };
    run('chroot', root, 'passwd', '-d', 'root');
    writeFileSync(path.join(root, 'etc/hostname'), 'guest\n');
    rmSync(path.join(root, 'var/cache/apt/archives'), { recursive: true, force: true });
    rmSync(path.join(root, 'var/lib/apt/lists'), { recursive: true, force: true });
    mkdirSync(CACHE, { recursive: true });
    const image = path.join(folder, 'disk.img');
    writeFileSync(image, '');
    truncateSync(image, SIZE);
    const filled = run('mke2fs', '-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-d', root, image);
    if (filled.status !== 0) return { reason: `mke2fs can't fill an image: ${filled.stderr?.trim() ?? 'it is not installed'}` };
    // The temporary folder may be of another file system.
    const near = `${made}.${process.pid}`;
    if (run('cp', '--sparse=always', image, near).status !== 0) return { reason: `${near} can't be written` };
    renameSync(near, made);
    return { path: made };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
