import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type FileAccess, ProgramError } from '../programs/program.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'you may not read it',
};

/** The file system of this machine, as the engine may see it. */
export const nodeFiles: FileAccess = {
  read(file) {
    try {
      return new Uint8Array(readFileSync(file));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      const why = REASONS[code] ?? (error instanceof Error ? error.message : String(error));
      throw new ProgramError(`${file} can't be read: ${why}.`, file);
    }
  },
  exists: (file) => existsSync(file),
  resolve: (from, relative) => (path.isAbsolute(relative) ? relative : path.join(path.dirname(from), relative)),
};
