import { isQcow2 } from '../devices/disk-image/qcow2/header.ts';
import type { PcDevices } from '../devices/pc/pc.ts';
import { type FileAccess, ProgramError } from '../programs/program.ts';
import type { PartitionDisk } from './configuration.ts';

/** A partition's disks as they are now, and as they were configured. */
export interface WrittenDisks {
  readonly devices: Pick<PcDevices, 'disks'>;
  readonly disks: readonly PartitionDisk[];
}

/**
 * Writes what a guest has written into the images of those disks that are to keep it. The same may be written again. Gives a sentence for
 * each image that couldn't be written.
 */
export function writeBack({ devices, disks }: WrittenDisks, files: FileAccess): readonly string[] {
  return disks.flatMap(({ path, writesBack }, index) => {
    const disk = devices.disks[index];
    if (!writesBack || disk === undefined || disk.written === 0) return [];
    // The next run would take it for an image that is based on other files, which the guest would then have chosen.
    const start = { path, size: disk.size, read: (offset: number, length: number) => disk.read(offset, length) };
    try {
      if (isQcow2(start))
        return [`The guest has made the begin of ${path} look like that of a qcow2 image; nothing was written back to it.`];
      files.change?.(path, disk.changes());
      return [];
    } catch (error) {
      if (error instanceof Error) return [`What the guest wrote to disk ${path} is not in it: ${error.message}`];
      throw error;
    }
  });
}

/** Throws ProgramError where an image can't take what a guest writes. */
export function checkWriteBack({ path, isReadOnly }: PartitionDisk, isRaw: boolean, files: FileAccess): void {
  if (isReadOnly) throw new ProgramError(`Disk ${path} is to be read only and written back; leave one of the two out.`, path);
  if (!isRaw)
    throw new ProgramError(
      `The disk image ${path} is qcow2, which is only read; make a raw one of it with \`qemu-img convert -O raw\` to have it written back.`,
      path,
    );
  if (!files.change) throw new ProgramError(`Disk ${path} can't be written back here, where there are no files to write.`, path);
  // Nothing is written, but who may not write is to know now.
  files.change(path, []);
}
