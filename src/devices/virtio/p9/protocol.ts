/** Numbers of 9P2000.L, the protocol of Linux's 9p file system. */

/** Types of requests; the answer has the next number. */
export const Request = {
  STATFS: 8,
  LOPEN: 12,
  LCREATE: 14,
  SYMLINK: 16,
  READLINK: 22,
  GETATTR: 24,
  SETATTR: 26,
  XATTRWALK: 30,
  READDIR: 40,
  FSYNC: 50,
  LOCK: 52,
  GETLOCK: 54,
  MKDIR: 72,
  RENAMEAT: 74,
  UNLINKAT: 76,
  VERSION: 100,
  ATTACH: 104,
  FLUSH: 108,
  WALK: 110,
  READ: 116,
  WRITE: 118,
  CLUNK: 120,
  REMOVE: 122,
} as const;
/** The answer that is an error number. */
export const ERROR_ANSWER = 7;

/** Error numbers of Linux. */
export const Errno = {
  NO_ENTRY: 2,
  IO: 5,
  BAD_FID: 9,
  EXISTS: 17,
  NO_FOLDER: 20,
  IS_FOLDER: 21,
  INVALID: 22,
  TOO_MANY_OPEN: 24,
  NO_SPACE: 28,
  READ_ONLY: 30,
  NAME_TOO_LONG: 36,
  NOT_EMPTY: 39,
  PROTOCOL: 71,
  NOT_SUPPORTED: 95,
} as const;

/** A request can't be done: the guest is told an error number. */
export class P9Error extends Error {
  constructor(readonly errno: number) {
    super(`error ${errno}`);
  }
}

/** Size, type and tag. */
export const HEADER_SIZE = 7;
/** What a qid says of its kind. */
export const QidType = { FOLDER: 0x80, LINK: 0x02, FILE: 0 } as const;
/** Bits of `valid` in SETATTR. */
export const SetAttribute = { MODE: 1, UID: 2, GID: 4, SIZE: 8, MTIME: 0x20, MTIME_SET: 0x100 } as const;
/** Flags of opening. */
export const OpenFlag = {
  WRITE_ONLY: 1,
  READ_WRITE: 2,
  CREATE: 0o100,
  EXCLUSIVE: 0o200,
  TRUNCATE: 0o1000,
  APPEND: 0o2000,
} as const;
/** Flag of UNLINKAT. */
export const REMOVE_FOLDER = 0x200;
/** Kinds of files in a mode, and in the entries of a folder. */
export const FileType = { FOLDER: 0o040000, FILE: 0o100000, LINK: 0o120000 } as const;
export const MODE_BITS = 0o7777;

/** Reads the fields of a request: little-endian. What isn't there is an error of the protocol. */
export class FieldReader {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private advance(length: number): number {
    const at = this.at;
    if (at + length > this.bytes.length) throw new P9Error(Errno.PROTOCOL);
    this.at += length;
    return at;
  }
  u8(): number {
    return this.view.getUint8(this.advance(1));
  }
  u16(): number {
    return this.view.getUint16(this.advance(2), true);
  }
  u32(): number {
    return this.view.getUint32(this.advance(4), true);
  }
  u64(): bigint {
    return this.view.getBigUint64(this.advance(8), true);
  }
  text(): string {
    return new TextDecoder().decode(this.raw(this.u16()));
  }
  raw(length: number): Uint8Array {
    const at = this.advance(length);
    return this.bytes.subarray(at, at + length);
  }
}

/** Writes the fields of an answer. */
export class FieldWriter {
  private readonly parts: Uint8Array[] = [];
  private total = 0;

  get length(): number {
    return this.total;
  }
  raw(bytes: Uint8Array): this {
    this.parts.push(bytes);
    this.total += bytes.length;
    return this;
  }
  private number(size: number, write: (view: DataView) => void): this {
    const view = new DataView(new ArrayBuffer(size));
    write(view);
    return this.raw(new Uint8Array(view.buffer));
  }
  u8(value: number): this {
    return this.raw(Uint8Array.of(value));
  }
  u16(value: number): this {
    return this.number(2, (view) => view.setUint16(0, value, true));
  }
  u32(value: number): this {
    return this.number(4, (view) => view.setUint32(0, value, true));
  }
  u64(value: bigint): this {
    return this.number(8, (view) => view.setBigUint64(0, value, true));
  }
  text(value: string): this {
    const bytes = new TextEncoder().encode(value);
    return this.u16(bytes.length).raw(bytes);
  }
  bytes(): Uint8Array {
    const all = new Uint8Array(this.total);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
