/** What is on a disk before anybody writes to it: never changed, and read piece by piece. */
export interface DiskImage {
  /** Bytes. */
  readonly size: number;
  /** A copy of `length` bytes, all of them within `size`. Throws ImageError for what can't be read. */
  read(offset: number, length: number): Uint8Array;
}

/** A file whose bytes are read where they are wanted, and not before. */
export interface ImageFile {
  /** What the user knows it by. */
  readonly path: string;
  /** Bytes that it has when it is opened. */
  readonly size: number;
  /** Up to `length` bytes from `offset` on; fewer where the file ends. */
  read(offset: number, length: number): Uint8Array;
}

/** Where images, and the images that they are based on, come from. */
export interface ImageFiles {
  /** Throws a sentence of its own when there is no such file. */
  open(path: string): ImageFile;
  /** `relative` as seen from the folder of `from`. */
  resolve(from: string, relative: string): string;
}

/** An image that can't be used, or a part of it. The message is one sentence: what is wrong, where, and how to mend it. */
export class ImageError extends Error {}

/** Reads a range that must be in the file. Throws ImageError. */
export function readWhole(file: ImageFile, offset: number, length: number, what: string): Uint8Array {
  if (offset + length <= file.size) {
    const bytes = file.read(offset, length);
    if (bytes.length === length) return bytes;
  }
  throw new ImageError(
    `The disk image ${file.path} is damaged or cut off: ${what} at byte ${offset} would end behind its ${file.size} bytes.`,
  );
}
