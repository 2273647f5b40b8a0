import { closeSync, existsSync, openSync, readFileSync, readSync, statSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { type FileAccess, type FilePiece, ProgramError } from '../programs/program.ts';
import { nodeFolder } from './node-folder.ts';
import { UsageError } from './usage.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of its path is not a folder',
  EISDIR: 'it is a folder',
  EACCES: 'you lack the permission',
  EPERM: 'you lack the permission',
  ENOSPC: 'the disk is full',
};

/** Why a file can't be used, as the end of a sentence. */
export function fileProblem(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}

/** Opens a file that the user named, empty, to be written; its descriptor. Throws UsageError. */
export function openForWriting(file: string, name: string): number {
  try {
    return openSync(file, 'w');
  } catch (error) {
    throw new UsageError(`${name} ${file} can't be written: ${fileProblem(error)}.`);
  }
}

/** Writes a file that the user named; `name` is what it is called when it can't be written. Throws UsageError. */
export function writeText(file: string, text: string, name: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`${name} ${file} can't be written: ${fileProblem(error)}.`);
  }
}

function reading<Result>(file: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw new ProgramError(`${file} can't be read: ${fileProblem(error)}.`, file);
  }
}

function writing(file: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw new ProgramError(`${file} can't be written: ${fileProblem(error)}.`, file);
  }
}

function changeFile(file: string, pieces: Iterable<FilePiece>): void {
  const descriptor = openSync(file, 'r+');
  try {
    for (const { offset, bytes } of pieces)
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done, bytes.length - done, offset + done);
  } finally {
    closeSync(descriptor);
  }
}

/** A file is open only while it is read: nobody would say when it isn't wanted any more. */
function readRange(file: string, offset: number, length: number): Uint8Array {
  const descriptor = openSync(file, 'r');
  try {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const count = readSync(descriptor, bytes, done, length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(descriptor);
  }
}

/** The file system of this machine, as the engine may see it. */
export const nodeFiles: FileAccess = {
  read: (file) => reading(file, () => new Uint8Array(readFileSync(file))),
  open: (file) => {
    const size = reading(file, () => {
      // Who may not read it is to know now.
      closeSync(openSync(file, 'r'));
      const stats = statSync(file);
      if (stats.isDirectory()) throw new Error(REASONS.EISDIR);
      return stats.size;
    });
    return { size, read: (offset, length) => reading(file, () => readRange(file, offset, length)) };
  },
  change: (file, pieces) => writing(file, () => changeFile(file, pieces)),
  openFolder: nodeFolder,
  exists: (file) => existsSync(file),
  resolve: (from, relative) => (path.isAbsolute(relative) ? relative : path.join(path.dirname(from), relative)),
};
