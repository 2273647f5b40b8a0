/** What something in a shared folder is. Others, such as sockets and devices, aren't shared. */
export type EntryKind = 'file' | 'folder' | 'link';

export interface HostEntry {
  readonly kind: EntryKind;
  /** Bytes of a file. */
  readonly size: number;
  readonly isExecutable: boolean;
}

/**
 * A folder of the user's machine, read and never written. A path is the names from the folder down, none of them empty, `.`, `..` or with
 * a separator. Links are never followed: no path leads out of the folder. Who can't say something gives undefined.
 */
export interface HostFolder {
  look(path: readonly string[]): HostEntry | undefined;
  /** Names in a folder, in any order. */
  list(path: readonly string[]): readonly string[] | undefined;
  /** Up to `length` bytes of a file from `offset` on. */
  read(path: readonly string[], offset: number, length: number): Uint8Array | undefined;
  /** Where a link leads, as it is written there. */
  target(path: readonly string[]): string | undefined;
}
