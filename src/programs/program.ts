import type { HostFolder } from '../devices/virtio/p9/host-folder.ts';

import type { LinuxHeader } from './linux/bz-image.ts';

/** What can be run, after it was recognised by its content and read. */

export type ProgramKind = 'assembly' | 'elf64' | 'elf32' | 'boot-sector' | 'disk-image' | 'flat' | 'linux';
export type BootProtocol = 'plain' | 'pvh' | 'multiboot1' | 'boot-sector' | 'linux';

/** Bytes to place into guest memory; `size` beyond `bytes` is filled with zeroes. */
export interface LoadSegment {
  readonly gpa: bigint;
  readonly bytes: Uint8Array;
  readonly size: number;
}

/** One line of an assembled program's own line table. Addresses are where the code is loaded. */
export interface SourceLine {
  readonly address: bigint;
  readonly length: number;
  /** Index into `SourceLines.files`. */
  readonly file: number;
  readonly line: number;
}

/** The assembler's own debug information. */
export interface SourceLines {
  readonly files: readonly string[];
  /** Sorted by address. */
  readonly lines: readonly SourceLine[];
  readonly symbols: readonly ProgramSymbol[];
}

export interface ProgramSymbol {
  readonly name: string;
  readonly address: bigint;
  readonly size: number;
  readonly kind: 'function' | 'object' | 'label';
  readonly global: boolean;
}

export interface Program {
  readonly kind: ProgramKind;
  /** Path as the user gave it. */
  readonly path: string;
  readonly protocol: BootProtocol;
  readonly mode: 16 | 32 | 64;
  readonly entry: bigint;
  readonly segments: readonly LoadSegment[];
  /** Symbols of an ELF file, labels of an assembled program. */
  readonly symbols: readonly ProgramSymbol[];
  /** From the assembler; undefined for other programs. */
  readonly sourceLines?: SourceLines;
  /** Sections by name (`.debug_info` …), uncompressed, where the file has them. */
  readonly sections: ReadonlyMap<string, { readonly address: bigint; readonly bytes: Uint8Array }>;
  /** Of a Linux kernel that is booted by Linux's own protocol. */
  readonly linux?: LinuxHeader;
}

/**
 * A program that can't be run. The message is one sentence: what is wrong, where, and how to mend it.
 * `line` and `column` count from 1.
 */
export class ProgramError extends Error {
  constructor(
    message: string,
    readonly path?: string,
    readonly line?: number,
    readonly column?: number,
    readonly hint?: string,
  ) {
    super(message);
  }
}

/** A file whose bytes are read where they are wanted, so that it may be larger than memory. */
export interface OpenFile {
  /** Bytes that it had when it was opened. */
  readonly size: number;
  /** Up to `length` bytes from `offset` on; fewer where it ends. Throws ProgramError. */
  read(offset: number, length: number): Uint8Array;
}

/** Bytes of a file, from `offset` on. */
export interface FilePiece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The one way to read files below cli/: given to whoever needs it. Paths are as the user or a source file has them. */
export interface FileAccess {
  /** Throws ProgramError with a plain sentence when the file can't be read. */
  read(path: string): Uint8Array;
  /** The same for a file that is read in parts; who has not got it reads the whole. Throws as `read` does. */
  open?(path: string): OpenFile;
  /** A folder to be shared with a guest; who has no folders lacks this. Throws as `read` does. */
  openFolder?(path: string): HostFolder;
  /** Writes pieces into a file that is there, and leaves the rest as it is; who can't write lacks this. Throws as `read` does. */
  change?(path: string, pieces: Iterable<FilePiece>): void;
  exists(path: string): boolean;
  /** `relative` as seen from the folder of `from`. */
  resolve(from: string, relative: string): string;
}
