import { ImageError, type ImageFile, readWhole } from '../disk-image.ts';

/**
 * The header of a qcow2 image, versions 2 and 3 (docs/interop/qcow2 of QEMU): numbers are big-endian, places are bytes in the file.
 */
export interface Qcow2Header {
  /** Bytes of the disk. */
  readonly size: number;
  readonly clusterBits: number;
  readonly levelOneOffset: number;
  /** Entries of the table of the first level. */
  readonly levelOneLength: number;
  /** The image that this one is based on, as it is written there. */
  readonly backing: string | undefined;
  /** Its format, where the image says so: `raw`, `qcow2` … */
  readonly backingFormat: string | undefined;
}

const MAGIC = 0x5146_49fb;
const LENGTH_OF_VERSION_2 = 72;
const LENGTH_OF_VERSION_3 = 104;
/** A table of the first level has at most this many bytes, as in QEMU. */
const LARGEST_LEVEL_ONE = 32 << 20;
const LONGEST_NAME = 1023;
const EXTENSION_END = 0;
const EXTENSION_BACKING_FORMAT = 0xe279_2aca;
const MOST_EXTENSIONS = 64;

/** Places in the header. */
const Place = {
  VERSION: 4,
  BACKING_OFFSET: 8,
  BACKING_LENGTH: 16,
  CLUSTER_BITS: 20,
  SIZE: 24,
  ENCRYPTION: 32,
  LEVEL_ONE_LENGTH: 36,
  LEVEL_ONE_OFFSET: 40,
  INCOMPATIBLE: 72,
  HEADER_LENGTH: 100,
  COMPRESSION: 104,
} as const;

/** Features that who doesn't know them must not go on with: why an image with one is refused. */
const INCOMPATIBLE: readonly (readonly [number, string])[] = [
  [1, 'was not closed properly; let `qemu-img check -r all` mend it'],
  [2, 'is marked as corrupt; let `qemu-img check -r all` mend it'],
  [4, 'keeps its data in another file, which is not supported; make one file of it with `qemu-img convert -O qcow2`'],
  [8, 'is compressed by zstd, which is not supported; make another with `qemu-img convert -O qcow2`'],
  [16, 'has extended entries (subclusters), which are not supported; make another with `qemu-img convert -O qcow2`'],
];
const KNOWN_INCOMPATIBLE = INCOMPATIBLE.reduce((bits, [bit]) => bits | bit, 0);

/** Whether a file begins as images in this format do. */
export function isQcow2(file: ImageFile): boolean {
  const start = file.read(0, 4);
  return start.length === 4 && viewOf(start).getUint32(0) === MAGIC;
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** Reads and checks a header. Throws ImageError. */
export function readHeader(file: ImageFile): Qcow2Header {
  const refuse = (problem: string): never => {
    throw new ImageError(`The disk image ${file.path} ${problem}.`);
  };
  const place = (at: DataView, offset: number, what: string): number => {
    const value = at.getBigUint64(offset);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : refuse(`is damaged: its ${what} is ${value}`);
  };
  const start = viewOf(readWhole(file, 0, LENGTH_OF_VERSION_2, 'the header'));
  const version = start.getUint32(Place.VERSION);
  if (version !== 2 && version !== 3)
    refuse(`has version ${version} of qcow2, but 2 and 3 are known; make another with \`qemu-img convert -O qcow2\``);
  if (start.getUint32(Place.ENCRYPTION) !== 0) refuse('is encrypted, which is not supported; decrypt it with `qemu-img convert`');
  const length = version === 2 ? LENGTH_OF_VERSION_2 : headerOfVersion3(file, refuse);
  const clusterBits = start.getUint32(Place.CLUSTER_BITS);
  if (clusterBits < 9 || clusterBits > 21) refuse(`is damaged: its clusters have 2^${clusterBits} bytes, not 2^9 to 2^21`);
  const size = place(start, Place.SIZE, 'size');
  const levelOneOffset = place(start, Place.LEVEL_ONE_OFFSET, 'first table');
  const levelOneLength = start.getUint32(Place.LEVEL_ONE_LENGTH);
  const needed = Math.ceil(size / 2 ** (2 * clusterBits - 3));
  if (levelOneLength * 8 > LARGEST_LEVEL_ONE || levelOneLength < needed)
    refuse(`is damaged: its first table has ${levelOneLength} entries, but ${size} bytes take ${needed}`);
  const backingOffset = place(start, Place.BACKING_OFFSET, "base image's name");
  return {
    size,
    clusterBits,
    levelOneOffset,
    levelOneLength,
    backing: backingOffset === 0 ? undefined : readName(file, backingOffset, start.getUint32(Place.BACKING_LENGTH), refuse),
    backingFormat: readBackingFormat(file, length),
  };
}

/** What version 3 adds; the length of the header. */
function headerOfVersion3(file: ImageFile, refuse: (problem: string) => never): number {
  const view = viewOf(readWhole(file, 0, LENGTH_OF_VERSION_3, 'the header'));
  const features = view.getBigUint64(Place.INCOMPATIBLE);
  for (const [bit, problem] of INCOMPATIBLE) if (features & BigInt(bit)) refuse(problem);
  if (features & ~BigInt(KNOWN_INCOMPATIBLE))
    refuse(`needs features that are not known (${features}); make another with \`qemu-img convert -O qcow2\``);
  const length = view.getUint32(Place.HEADER_LENGTH);
  if (length < LENGTH_OF_VERSION_3 || length % 8 !== 0 || length > file.size)
    refuse(`is damaged: its header has ${length} bytes`);
  return length;
}

function readName(file: ImageFile, offset: number, length: number, refuse: (problem: string) => never): string {
  if (length === 0 || length > LONGEST_NAME) refuse(`is damaged: the name of the image that it is based on has ${length} bytes`);
  return new TextDecoder().decode(readWhole(file, offset, length, 'the name of its base image'));
}

/** The extensions behind the header: type, length, data, filled up to 8 bytes. Other types are for those who write. */
function readBackingFormat(file: ImageFile, start: number): string | undefined {
  let at = start;
  for (let count = 0; count < MOST_EXTENSIONS; count++) {
    const head = file.read(at, 8);
    if (head.length < 8) return undefined;
    const type = viewOf(head).getUint32(0);
    const length = viewOf(head).getUint32(4);
    if (type === EXTENSION_END) return undefined;
    if (type === EXTENSION_BACKING_FORMAT)
      return new TextDecoder().decode(readWhole(file, at + 8, Math.min(length, LONGEST_NAME), 'an extension of the header'));
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return undefined;
}
