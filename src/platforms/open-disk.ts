import { ImageError, type ImageFile } from '../devices/disk-image/disk-image.ts';
import { openImage } from '../devices/disk-image/open-image.ts';
import { fileOfBytes, RawImage } from '../devices/disk-image/raw-image.ts';
import { type FileAccess, ProgramError } from '../programs/program.ts';
import type { PartitionDisk } from './configuration.ts';
import { checkWriteBack } from './write-back.ts';

/** A disk as a user asks for it, by its file alone or with more. */
export interface DiskRequest {
  readonly file: string;
  /** What the disk answers when the guest asks for its id: up to 20 characters. */
  readonly serial?: string;
  /** The guest can't write. */
  readonly readOnly?: boolean;
  /** What the guest writes is in the image after the run. */
  readonly write?: boolean;
  /** Queues that the guest may put requests into. */
  readonly queues?: number;
}

/** Opens a disk: raw or qcow2, by its content. Throws ProgramError. */
export function openDisk(request: string | DiskRequest, files: FileAccess): PartitionDisk {
  const { file, serial, readOnly, write, queues } = typeof request === 'string' ? { file: request } : request;
  try {
    const image = openImage(file, { open: (path) => opened(path, files), resolve: (from, path) => files.resolve(from, path) });
    const disk = { path: file, image, serial, isReadOnly: readOnly, writesBack: write, queues };
    if (write) checkWriteBack(disk, image instanceof RawImage, files);
    return disk;
  } catch (error) {
    throw error instanceof ImageError ? new ProgramError(error.message, file) : error;
  }
}

function opened(path: string, files: FileAccess): ImageFile {
  return files.open ? { path, ...files.open(path) } : fileOfBytes(path, files.read(path));
}
