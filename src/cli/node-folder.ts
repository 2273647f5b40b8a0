import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import type { EntryKind, HostEntry, HostFolder } from '../devices/virtio/p9/host-folder.ts';
import { ProgramError } from '../programs/program.ts';
import { fileProblem } from './node-files.ts';

/** A folder of this machine, to be shared with a guest. Throws ProgramError for what is none. */
export function nodeFolder(folder: string): HostFolder {
  try {
    if (!statSync(folder).isDirectory()) throw new Error('it is no folder');
    return new NodeFolder(realpathSync(folder));
  } catch (error) {
    throw new ProgramError(`The folder ${folder} can't be shared: ${fileProblem(error)}.`, folder);
  }
}

/** Each access looks anew where its folder is: somebody may have put a link into the way since. */
class NodeFolder implements HostFolder {
  constructor(private readonly root: string) {}

  /** Where something is, if no link leads to its folder; undefined else. */
  private placeOf(names: readonly string[]): string | undefined {
    const folder = path.join(this.root, ...names.slice(0, -1));
    const last = names.at(-1);
    if (names.some((name) => name === '' || name === '.' || name === '..' || name.includes('/') || name.includes(path.sep)))
      return undefined;
    if (realpathSync(folder) !== folder) return undefined;
    return last === undefined ? folder : path.join(folder, last);
  }

  private attempt<Result>(names: readonly string[], action: (place: string) => Result): Result | undefined {
    try {
      const place = this.placeOf(names);
      return place === undefined ? undefined : action(place);
    } catch {
      return undefined;
    }
  }

  look(names: readonly string[]): HostEntry | undefined {
    return this.attempt(names, (place) => {
      const stats = lstatSync(place);
      const kind = kindOf(stats);
      return kind && { kind, size: kind === 'file' ? stats.size : 0, isExecutable: (stats.mode & constants.S_IXUSR) !== 0 };
    });
  }
  list(names: readonly string[]): readonly string[] | undefined {
    return this.attempt(names, (place) => (lstatSync(place).isDirectory() ? readdirSync(place) : undefined));
  }
  target(names: readonly string[]): string | undefined {
    return this.attempt(names, (place) => readlinkSync(place));
  }
  read(names: readonly string[], offset: number, length: number): Uint8Array | undefined {
    return this.attempt(names, (place) => {
      // A link in the place of the file isn't followed, and a pipe isn't waited for.
      const descriptor = openSync(place, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
      try {
        const bytes = new Uint8Array(length);
        return bytes.subarray(0, readSync(descriptor, bytes, 0, length, offset));
      } finally {
        closeSync(descriptor);
      }
    });
  }
}

function kindOf(stats: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): EntryKind | undefined {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'folder';
  return stats.isSymbolicLink() ? 'link' : undefined;
}
