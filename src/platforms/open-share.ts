import type { Share } from '../devices/virtio/p9/device.ts';
import { type FileAccess, ProgramError } from '../programs/program.ts';

/** A shared folder as a user asks for it. */
export interface ShareRequest {
  readonly tag: string;
  readonly folder: string;
  /** The guest can't write. */
  readonly readOnly?: boolean;
}

/** Opens a folder for a guest. Throws ProgramError. */
export function openShare({ tag, folder, readOnly }: ShareRequest, files: FileAccess): Share {
  const opened = files.openFolder?.(folder);
  if (opened === undefined) throw new ProgramError(`The folder ${folder} can't be shared: there are no folders here.`, folder);
  return { tag, folder: opened, isReadOnly: readOnly };
}
