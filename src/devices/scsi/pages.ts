import { BLOCK, DISK_TYPE, ModePage, NO_UNIT, VpdPage } from './abi.ts';

/** What the pages of a disk tell of it. */
export interface DiskIdentity {
  /** ASCII, up to 20 characters. */
  readonly serial: string;
  readonly isReadOnly: boolean;
  /** Bytes that one command should move at most. */
  readonly longestTransfer: number;
}

/** Blocks that one command can unmap or fill. */
export const MOST_CLEARED = 0x4_0000;
/** Ranges that one UNMAP can have. */
export const MOST_UNMAP_RANGES = 256;

const VENDOR = 'Msft';
const PRODUCT = 'Virtual Disk';
const REVISION = '1.0';
const INQUIRY_SIZE = 36;
const SPC_3 = 5;
const FIXED_FORMAT = 2;
const COMMAND_QUEUING = 2;

/** Writes ASCII with spaces behind it. */
function put(bytes: Uint8Array, offset: number, length: number, text: string): void {
  bytes.set(new TextEncoder().encode(text.padEnd(length).slice(0, length)), offset);
}

/** Standard INQUIRY data of a disk (SPC-4, 6.6.2). */
export function inquiryData(): Uint8Array {
  const bytes = new Uint8Array(INQUIRY_SIZE);
  bytes.set([DISK_TYPE, 0, SPC_3, FIXED_FORMAT, INQUIRY_SIZE - 5, 0, 0, COMMAND_QUEUING]);
  put(bytes, 8, 8, VENDOR);
  put(bytes, 16, 16, PRODUCT);
  put(bytes, 32, 4, REVISION);
  return bytes;
}

/** The same for a place without a unit: a controller says who it is in the place of its first one. */
export function inquiryDataOfNothing(isFirst: boolean): Uint8Array {
  const bytes = inquiryData();
  bytes[0] = NO_UNIT;
  if (!isFirst) bytes.fill(0, 8);
  return bytes;
}

/** A page of vital product data, or undefined where there is no such page (SPC-4, 7.8; SBC-3, 6.5). */
export function vpdPage(page: number, identity: DiskIdentity): Uint8Array | undefined {
  const content = vpdContent(page, identity);
  if (content === undefined) return undefined;
  const bytes = new Uint8Array(4 + content.length);
  bytes.set([DISK_TYPE, page, content.length >> 8, content.length & 0xff]);
  bytes.set(content, 4);
  return bytes;
}

function vpdContent(page: number, identity: DiskIdentity): Uint8Array | undefined {
  switch (page) {
    case VpdPage.SUPPORTED:
      return Uint8Array.from(Object.values(VpdPage)).sort();
    case VpdPage.SERIAL_NUMBER:
      return new TextEncoder().encode(identity.serial);
    case VpdPage.IDENTIFICATION:
      return designators(identity.serial);
    case VpdPage.BLOCK_LIMITS:
      return blockLimits(identity);
    case VpdPage.BLOCK_CHARACTERISTICS: {
      const bytes = new Uint8Array(60);
      // It doesn't rotate.
      bytes[1] = 1;
      return bytes;
    }
    case VpdPage.PROVISIONING:
      // UNMAP and WRITE SAME(16) and (10) unmap, what was unmapped reads as zeroes, and it is provisioned thinly.
      return Uint8Array.of(0, identity.isReadOnly ? 0 : 0xe4, identity.isReadOnly ? 0 : 2, 0);
    default:
      return undefined;
  }
}

/** Names of the unit: a number that tells it from all others (NAA, with Microsoft's company id), and a text of the vendor's. */
function designators(serial: string): Uint8Array {
  const text = new TextEncoder().encode(VENDOR.padEnd(8) + serial);
  const bytes = new Uint8Array(4 + 16 + 4 + text.length);
  const BINARY = 1;
  const ASCII = 2;
  const NAA = 3;
  const T10 = 1;
  bytes.set([BINARY, NAA, 0, 16]);
  bytes.set([0x60, 0x02, 0x24, 0x80], 4);
  bytes.set(fold(serial), 8);
  bytes.set([ASCII, T10, 0, text.length], 20);
  bytes.set(text, 24);
  return bytes;
}

/** 12 bytes that depend on each character of a text. */
function fold(text: string): Uint8Array {
  const view = new DataView(new ArrayBuffer(12));
  for (let word = 0; word < 3; word++) {
    let hash = 0x811c_9dc5 ^ word;
    for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x0100_0193) ^ (hash >>> 15);
    view.setUint32(word * 4, hash >>> 0);
  }
  return new Uint8Array(view.buffer);
}

function blockLimits({ longestTransfer, isReadOnly }: DiskIdentity): Uint8Array {
  const view = new DataView(new ArrayBuffer(60));
  const set = (page: number, value: number) => view.setUint32(page - 4, value);
  view.setUint16(2, 1);
  set(8, longestTransfer / BLOCK);
  set(12, longestTransfer / BLOCK);
  if (!isReadOnly) {
    set(20, MOST_CLEARED);
    set(24, MOST_UNMAP_RANGES);
    set(28, 1);
    view.setBigUint64(36 - 4, BigInt(MOST_CLEARED));
  }
  return new Uint8Array(view.buffer);
}

const MODE_PAGES: readonly (readonly [number, Uint8Array])[] = [
  // Writes are kept in a cache until they are synchronized.
  [ModePage.CACHING, Uint8Array.from([ModePage.CACHING, 18, 4, ...new Array<number>(17).fill(0)])],
  [ModePage.CONTROL, Uint8Array.of(ModePage.CONTROL, 10, 2, 0x10, 0, 0, 0, 0, 0xff, 0xff, 0, 0)],
  [ModePage.EXCEPTIONS, Uint8Array.of(ModePage.EXCEPTIONS, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
];
/** Bits of a mode page that say what can be changed: none. */
const CHANGEABLE = 1;

/** Mode pages as bytes one behind the other, or undefined where there is no such page. `control`: 0 current, 1 changeable, 2 default. */
export function modePages(page: number, control: number): Uint8Array | undefined {
  const wanted = MODE_PAGES.filter(([code]) => page === ModePage.ALL || page === code);
  if (wanted.length === 0) return undefined;
  return Uint8Array.from(
    wanted.flatMap(([, bytes]) =>
      control === CHANGEABLE ? [...bytes.subarray(0, 2), ...new Array<number>(bytes.length - 2).fill(0)] : [...bytes],
    ),
  );
}
