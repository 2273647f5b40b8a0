import { DirectoryEntry, FEATURES, Key, LONGEST_NAME, SIGNATURE } from './registers.ts';

/** What a firmware would have to load: bytes, and where they go in guest physical memory. */
export interface Placed {
  readonly gpa: bigint;
  readonly bytes: Uint8Array;
}

/** What a machine tells its firmware. */
export interface FirmwareConfiguration {
  readonly processors: number;
  /** Bytes of RAM. */
  readonly ram: bigint;
  /** Of a Linux kernel: its protected-mode part and its setup code. */
  readonly kernel?: Placed;
  readonly setup?: Placed;
  readonly initrd?: Placed;
  /** Ends with NUL. */
  readonly commandLine?: Placed;
  /** Files by name: `etc/e820` … Names have at most 55 bytes. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
}

/** Items by key. */
export type FirmwareItems = ReadonlyMap<number, Uint8Array>;

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

function little(size: 2 | 4 | 8, value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes.subarray(0, size);
}

/** The items that a machine has, under the keys that QEMU gives them. Files are sorted by name, as QEMU's are. */
export function firmwareItems(configuration: FirmwareConfiguration): FirmwareItems {
  const { processors, ram, kernel, setup, initrd, commandLine, files = new Map<string, Uint8Array>() } = configuration;
  const items = new Map<number, Uint8Array>([
    [Key.SIGNATURE, ascii(SIGNATURE)],
    [Key.FEATURES, little(4, BigInt(FEATURES))],
    [Key.RAM_SIZE, little(8, ram)],
    [Key.PROCESSORS, little(2, BigInt(processors))],
    [Key.MOST_PROCESSORS, little(2, BigInt(processors))],
  ]);
  const place = (part: Placed | undefined, address: number, size: number, data: number) => {
    items.set(address, little(4, part?.gpa ?? 0n));
    items.set(size, little(4, BigInt(part?.bytes.length ?? 0)));
    if (part) items.set(data, part.bytes);
  };
  place(kernel, Key.KERNEL_ADDRESS, Key.KERNEL_SIZE, Key.KERNEL);
  place(setup, Key.SETUP_ADDRESS, Key.SETUP_SIZE, Key.SETUP);
  place(initrd, Key.INITRD_ADDRESS, Key.INITRD_SIZE, Key.INITRD);
  place(commandLine, Key.COMMAND_LINE_ADDRESS, Key.COMMAND_LINE_SIZE, Key.COMMAND_LINE);
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  items.set(Key.DIRECTORY, directory(sorted));
  sorted.forEach(([, bytes], index) => {
    items.set(Key.FIRST_FILE + index, bytes);
  });
  return items;
}

function directory(files: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const bytes = new Uint8Array(4 + files.length * DirectoryEntry.LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, files.length);
  files.forEach(([name, content], index) => {
    const at = 4 + index * DirectoryEntry.LENGTH;
    view.setUint32(at + DirectoryEntry.SIZE, content.length);
    view.setUint16(at + DirectoryEntry.KEY, Key.FIRST_FILE + index);
    bytes.set(ascii(name).subarray(0, LONGEST_NAME), at + DirectoryEntry.NAME);
  });
  return bytes;
}
