import { type FileAccess, ProgramError } from '../../src/programs/program.ts';

/** A file system without files, for programs that include none. */
export const noFiles: FileAccess = {
  read(path) {
    throw new ProgramError(`${path} does not exist.`, path);
  },
  exists: () => false,
  resolve: (_, relative) => relative,
};
