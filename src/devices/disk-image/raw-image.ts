import { type DiskImage, type ImageFile, readWhole } from './disk-image.ts';

/** A file that has the bytes of the disk as they are. */
export class RawImage implements DiskImage {
  readonly size: number;

  constructor(private readonly file: ImageFile) {
    this.size = file.size;
  }
  read(offset: number, length: number): Uint8Array {
    return readWhole(this.file, offset, length, `what is read, ${length} bytes long,`);
  }
}

/** A file that is in memory. */
export function fileOfBytes(path: string, bytes: Uint8Array): ImageFile {
  return { path, size: bytes.length, read: (offset, length) => bytes.slice(offset, offset + length) };
}

/** A disk with these bytes. */
export function imageOfBytes(bytes: Uint8Array, path = 'in memory'): DiskImage {
  return new RawImage(fileOfBytes(path, bytes));
}
