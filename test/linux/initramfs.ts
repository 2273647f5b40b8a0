/** A file for a guest's first root file system. */
export interface GuestFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const DIRECTORY = 0o040755;
const EXECUTABLE = 0o100755;
const CHARACTER_DEVICE = 0o020600;

/** A cpio archive in the "newc" format, with /dev/console and the given files, which are executable. */
export function initramfs(files: readonly GuestFile[]): Uint8Array {
  const parts: Buffer[] = [];
  const add = (name: string, mode: number, bytes: Uint8Array = new Uint8Array(0), device: readonly [number, number] = [0, 0]) => {
    const path = Buffer.from(`${name}\0`);
    const fields = [parts.length + 1, mode, 0, 0, 1, 0, bytes.length, 0, 0, ...device, path.length, 0];
    const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
    for (const part of [Buffer.concat([header, path]), Buffer.from(bytes)])
      parts.push(part, Buffer.alloc((4 - (part.length % 4)) % 4));
  };
  add('dev', DIRECTORY);
  add('dev/console', CHARACTER_DEVICE, undefined, [5, 1]);
  for (const { name, bytes } of files) add(name, EXECUTABLE, bytes);
  add('TRAILER!!!', 0);
  return Buffer.concat(parts);
}
