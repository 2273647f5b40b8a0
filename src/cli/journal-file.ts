import { closeSync, openSync, writeSync } from 'node:fs';
import type { ExitRecord } from '../hypervisor/journal/exit-journal.ts';
import { journalLine } from '../hypervisor/journal/ring-journal.ts';
import { fileProblem } from './node-files.ts';
import { UsageError } from './usage.ts';

const BUFFER = 1 << 16;

/** Writes an exit journal as JSON lines, in pieces of 64 KiB. */
export class JournalFile {
  private readonly descriptor: number;
  private waiting: string[] = [];
  private size = 0;

  /** `name` is what it is called in the sentence of the UsageError that all of this throws when it can't be written. */
  constructor(
    private readonly path: string,
    private readonly name = '--exits',
  ) {
    this.descriptor = this.attempt(() => openSync(path, 'w'));
  }

  private attempt<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw new UsageError(`${this.name} ${this.path} can't be written: ${fileProblem(error)}.`);
    }
  }

  write(record: ExitRecord): void {
    const line = journalLine(record);
    this.waiting.push(line);
    this.size += line.length + 1;
    if (this.size >= BUFFER) this.flush();
  }

  /** Writes what has gathered. */
  flush(): void {
    if (this.waiting.length === 0) return;
    const text = `${this.waiting.join('\n')}\n`;
    this.waiting = [];
    this.size = 0;
    this.attempt(() => writeAll(this.descriptor, Buffer.from(text)));
  }

  close(): void {
    try {
      this.flush();
    } finally {
      closeSync(this.descriptor);
    }
  }
}

/** Writes all bytes, also to a pipe that is full for a moment. */
export function writeAll(descriptor: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
