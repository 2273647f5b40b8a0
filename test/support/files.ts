import { type FileAccess, ProgramError } from '../../src/programs/program.ts';

/** A file system that holds one file. */
export function oneFile(path: string, bytes: Uint8Array): FileAccess {
  return {
    read(asked) {
      if (asked === path) return bytes;
      throw new ProgramError(`${asked} does not exist.`, asked);
    },
    exists: (asked) => asked === path,
    resolve: (_, relative) => relative,
  };
}
