import { Errno, type ErrnoName } from '../abi/errors.ts';

/** An ioctl that failed: what `errno` says, and a sentence that says why. */
export class KvmError extends Error {
  readonly errno: number;

  constructor(
    readonly code: ErrnoName,
    why: string,
  ) {
    super(`${why} (${code})`);
    this.errno = Errno[code];
  }
}
