import { LONGEST_MESSAGE } from './messages.ts';
import type { ShareNode } from './node.ts';
import {
  ERROR_ANSWER,
  Errno,
  FieldReader,
  FieldWriter,
  FileType,
  HEADER_SIZE,
  MODE_BITS,
  OpenFlag,
  P9Error,
  QidType,
  REMOVE_FOLDER,
  Request,
  SetAttribute,
} from './protocol.ts';
import type { ShareTree, ShareTreeState } from './tree.ts';

export interface P9ServerState {
  readonly tree: ShareTreeState;
  readonly fids: readonly { readonly fid: number; readonly node: number; readonly isOpen: boolean }[];
  readonly longestMessage: number;
}

/** What the guest calls by a number: a node, and whether it was opened. */
interface Fid {
  node: ShareNode;
  isOpen: boolean;
}

const VERSION = '9P2000.L';
/** Bytes of a message, header included: what the guest asks for, within these bounds. */
const SHORTEST_MESSAGE = 4096;
const MOST_FIDS = 0x1_0000;
const MOST_NAMES = 16;
const BLOCK = 512;
/** Before the data of an answer to READ or READDIR: the header and a count. */
const DATA_OVERHEAD = HEADER_SIZE + 4;
const NANOSECONDS = 1_000_000_000n;
/** `V9FS_MAGIC`. */
const FILE_SYSTEM = 0x0102_1997;
const LONGEST_NAME = 255;
/** What the file system says of its room: 256 MiB, half of it free. */
const BLOCKS = 0x1_0000n;
const GETATTR_BASIC = 0x7ffn;
const UNLOCKED = 2;

type Handler = (fields: FieldReader, answer: FieldWriter) => void;

/** Serves a share by 9P2000.L. Everything in a request is the guest's word. */
export class P9Server {
  private fids = new Map<number, Fid>();
  private longestMessage = SHORTEST_MESSAGE;
  private readonly handlers: ReadonlyMap<number, Handler>;

  constructor(
    private readonly tree: ShareTree,
    private readonly isReadOnly: boolean,
  ) {
    const R = Request;
    this.handlers = new Map<number, Handler>([
      [R.VERSION, (fields, answer) => this.agree(fields, answer)],
      [R.ATTACH, (fields, answer) => this.attach(fields, answer)],
      [R.WALK, (fields, answer) => this.walk(fields, answer)],
      [R.CLUNK, (fields) => this.clunk(fields)],
      [R.REMOVE, (fields) => this.remove(fields)],
      [R.STATFS, (fields, answer) => this.describeAll(fields, answer)],
      [R.GETATTR, (fields, answer) => this.getAttributes(fields, answer)],
      [R.SETATTR, (fields) => this.setAttributes(fields)],
      [R.LOPEN, (fields, answer) => this.open(fields, answer)],
      [R.LCREATE, (fields, answer) => this.create(fields, answer)],
      [R.READ, (fields, answer) => this.read(fields, answer)],
      [R.WRITE, (fields, answer) => this.write(fields, answer)],
      [R.READDIR, (fields, answer) => this.list(fields, answer)],
      [R.READLINK, (fields, answer) => this.readLink(fields, answer)],
      [R.SYMLINK, (fields, answer) => this.makeLink(fields, answer)],
      [R.MKDIR, (fields, answer) => this.makeFolder(fields, answer)],
      [R.RENAMEAT, (fields) => this.rename(fields)],
      [R.UNLINKAT, (fields) => this.unlink(fields)],
      [R.FSYNC, (fields) => void this.fid(fields)],
      [R.FLUSH, () => {}],
      [R.LOCK, (_fields, answer) => void answer.u8(0)],
      [R.GETLOCK, (fields, answer) => this.getLock(fields, answer)],
    ]);
  }

  /** Answers a message. The answer is no longer than was agreed on. */
  serve(message: Uint8Array): Uint8Array {
    const fields = new FieldReader(message);
    let [type, tag] = [0, 0];
    const answer = new FieldWriter();
    try {
      const size = fields.u32();
      type = fields.u8();
      tag = fields.u16();
      if (size > message.length) throw new P9Error(Errno.PROTOCOL);
      const handler = this.handlers.get(type);
      if (handler === undefined) throw new P9Error(Errno.NOT_SUPPORTED);
      handler(fields, answer);
      return framed(type + 1, tag, answer.bytes());
    } catch (error) {
      if (!(error instanceof P9Error)) throw error;
      return framed(ERROR_ANSWER, tag, new FieldWriter().u32(error.errno).bytes());
    }
  }

  /** Numbers that are in use. */
  get openCount(): number {
    return this.fids.size;
  }

  // --- numbers --------------------------------------------------------------------------------------------------------

  private fid(fields: FieldReader): Fid {
    const found = this.fids.get(fields.u32());
    if (found === undefined) throw new P9Error(Errno.BAD_FID);
    return found;
  }
  private node(fields: FieldReader): ShareNode {
    return this.fid(fields).node;
  }
  private bind(number: number, node: ShareNode): void {
    if (this.fids.size >= MOST_FIDS) throw new P9Error(Errno.TOO_MANY_OPEN);
    this.fids.set(number, { node, isOpen: false });
  }
  private mayWrite(): void {
    if (this.isReadOnly) throw new P9Error(Errno.READ_ONLY);
  }

  private agree(fields: FieldReader, answer: FieldWriter): void {
    const wanted = fields.u32();
    const version = fields.text();
    this.fids = new Map();
    this.longestMessage = Math.max(SHORTEST_MESSAGE, Math.min(wanted, LONGEST_MESSAGE));
    answer.u32(Math.min(this.longestMessage, wanted)).text(version === VERSION ? VERSION : 'unknown');
  }

  private attach(fields: FieldReader, answer: FieldWriter): void {
    const number = fields.u32();
    if (this.fids.has(number)) throw new P9Error(Errno.INVALID);
    this.bind(number, this.tree.root);
    putQid(answer, this.tree.root);
  }

  private walk(fields: FieldReader, answer: FieldWriter): void {
    const { node: start, isOpen } = this.fid(fields);
    const number = fields.u32();
    const count = fields.u16();
    if (isOpen || count > MOST_NAMES) throw new P9Error(Errno.INVALID);
    const names = Array.from({ length: count }, () => fields.text());
    let node = start;
    const passed: ShareNode[] = [];
    for (const name of names) {
      try {
        node = this.tree.child(node, name);
      } catch (error) {
        // As far as it goes; nothing at all is an error.
        if (!(error instanceof P9Error) || passed.length === 0) throw error;
        break;
      }
      passed.push(node);
    }
    if (passed.length === names.length) this.bind(number, node);
    answer.u16(passed.length);
    for (const each of passed) putQid(answer, each);
  }

  private clunk(fields: FieldReader): void {
    if (!this.fids.delete(fields.u32())) throw new P9Error(Errno.BAD_FID);
  }
  /** The guest is to remove by names (UNLINKAT); the number is given up all the same. */
  private remove(fields: FieldReader): void {
    this.clunk(fields);
    throw new P9Error(Errno.NOT_SUPPORTED);
  }

  // --- attributes -----------------------------------------------------------------------------------------------------

  private describeAll(fields: FieldReader, answer: FieldWriter): void {
    this.node(fields);
    answer.u32(FILE_SYSTEM).u32(SHORTEST_MESSAGE);
    for (const value of [BLOCKS, BLOCKS / 2n, BLOCKS / 2n, BLOCKS, BLOCKS / 2n, 0n]) answer.u64(value);
    answer.u32(LONGEST_NAME);
  }

  private getAttributes(fields: FieldReader, answer: FieldWriter): void {
    const node = this.node(fields);
    answer.u64(GETATTR_BASIC);
    putQid(answer, node);
    answer.u32(modeOf(node)).u32(node.uid).u32(node.gid);
    const size = BigInt(node.target === undefined ? node.size : new TextEncoder().encode(node.target).length);
    const links = node.kind === 'folder' ? 2n : 1n;
    for (const value of [links, 0n, size, BigInt(SHORTEST_MESSAGE), (size + BigInt(BLOCK - 1)) / BigInt(BLOCK)])
      answer.u64(value);
    // Reading, changing, and changing attributes are one time here; that of making isn't told, nor are generations.
    for (let time = 0; time < 3; time++) answer.u64(node.modified / NANOSECONDS).u64(node.modified % NANOSECONDS);
    for (let rest = 0; rest < 4; rest++) answer.u64(0n);
  }

  private setAttributes(fields: FieldReader): void {
    const node = this.node(fields);
    const valid = fields.u32();
    const [mode, uid, gid] = [fields.u32(), fields.u32(), fields.u32()];
    const size = fields.u64();
    fields.raw(16);
    const [seconds, nanoseconds] = [fields.u64(), fields.u64()];
    this.mayWrite();
    if (valid & SetAttribute.SIZE) {
      if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new P9Error(Errno.NO_SPACE);
      this.tree.truncate(node, Number(size));
    }
    this.tree.change(node, {
      ...(valid & SetAttribute.MODE ? { mode: mode & MODE_BITS } : {}),
      ...(valid & SetAttribute.UID ? { uid } : {}),
      ...(valid & SetAttribute.GID ? { gid } : {}),
      ...(valid & SetAttribute.MTIME && valid & SetAttribute.MTIME_SET ? { modified: seconds * NANOSECONDS + nanoseconds } : {}),
    });
  }

  // --- files ----------------------------------------------------------------------------------------------------------

  private open(fields: FieldReader, answer: FieldWriter): void {
    const fid = this.fid(fields);
    const flags = fields.u32();
    const { node } = fid;
    const writes = (flags & (OpenFlag.WRITE_ONLY | OpenFlag.READ_WRITE | OpenFlag.TRUNCATE)) !== 0;
    if (writes && node.kind === 'folder') throw new P9Error(Errno.IS_FOLDER);
    if (writes) this.mayWrite();
    if (flags & OpenFlag.TRUNCATE) this.tree.truncate(node, 0);
    fid.isOpen = true;
    putQid(answer, node);
    answer.u32(0);
  }

  private create(fields: FieldReader, answer: FieldWriter): void {
    const fid = this.fid(fields);
    const name = fields.text();
    fields.u32();
    const mode = fields.u32();
    this.mayWrite();
    fid.node = this.tree.create(fid.node, name, 'file', mode & MODE_BITS);
    fid.isOpen = true;
    putQid(answer, fid.node);
    answer.u32(0);
  }

  /** A place in a file, where a double knows each byte. */
  private offset(fields: FieldReader): number {
    const offset = fields.u64();
    if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw new P9Error(Errno.INVALID);
    return Number(offset);
  }

  private read(fields: FieldReader, answer: FieldWriter): void {
    const { node, isOpen } = this.fid(fields);
    const offset = this.offset(fields);
    const count = Math.min(fields.u32(), this.longestMessage - DATA_OVERHEAD);
    if (!isOpen) throw new P9Error(Errno.BAD_FID);
    const bytes = this.tree.read(node, offset, count);
    answer.u32(bytes.length).raw(bytes);
  }

  private write(fields: FieldReader, answer: FieldWriter): void {
    const { node, isOpen } = this.fid(fields);
    const offset = this.offset(fields);
    const bytes = fields.raw(fields.u32());
    this.mayWrite();
    if (!isOpen) throw new P9Error(Errno.BAD_FID);
    this.tree.write(node, offset, bytes);
    answer.u32(bytes.length);
  }

  // --- folders --------------------------------------------------------------------------------------------------------

  private list(fields: FieldReader, answer: FieldWriter): void {
    const { node, isOpen } = this.fid(fields);
    const offset = this.offset(fields);
    const room = Math.min(fields.u32(), this.longestMessage - DATA_OVERHEAD);
    if (!isOpen) throw new P9Error(Errno.BAD_FID);
    const entries: (readonly [string, ShareNode])[] = [
      ['.', node],
      ['..', node.parent ?? this.tree.root],
      ...this.tree.children(node),
    ];
    const listed = new FieldWriter();
    for (let index = offset; index < entries.length; index++) {
      const entry = entries[index];
      if (entry === undefined) break;
      const [name, child] = entry;
      const one = new FieldWriter();
      putQid(one, child);
      one
        .u64(BigInt(index + 1))
        .u8(modeOf(child) >> 12)
        .text(name);
      if (listed.length + one.length > room) break;
      listed.raw(one.bytes());
    }
    answer.u32(listed.length).raw(listed.bytes());
  }

  private readLink(fields: FieldReader, answer: FieldWriter): void {
    const { target } = this.node(fields);
    if (target === undefined) throw new P9Error(Errno.INVALID);
    answer.text(target);
  }

  private makeLink(fields: FieldReader, answer: FieldWriter): void {
    const folder = this.node(fields);
    const [name, target] = [fields.text(), fields.text()];
    this.mayWrite();
    putQid(answer, this.tree.create(folder, name, 'link', 0o777, target));
  }

  private makeFolder(fields: FieldReader, answer: FieldWriter): void {
    const folder = this.node(fields);
    const name = fields.text();
    const mode = fields.u32();
    this.mayWrite();
    putQid(answer, this.tree.create(folder, name, 'folder', mode & MODE_BITS));
  }

  private rename(fields: FieldReader): void {
    const from = this.node(fields);
    const name = fields.text();
    const to = this.node(fields);
    const newName = fields.text();
    this.mayWrite();
    this.tree.rename(from, name, to, newName);
  }

  private unlink(fields: FieldReader): void {
    const folder = this.node(fields);
    const name = fields.text();
    const flags = fields.u32();
    this.mayWrite();
    this.tree.remove(folder, name, (flags & REMOVE_FOLDER) !== 0);
  }

  /** Nobody else has the file: no lock is in the way. */
  private getLock(fields: FieldReader, answer: FieldWriter): void {
    this.node(fields);
    fields.u8();
    const [start, length, process, client] = [fields.u64(), fields.u64(), fields.u32(), fields.text()];
    answer.u8(UNLOCKED).u64(start).u64(length).u32(process).text(client);
  }

  // --- as a part of a device ------------------------------------------------------------------------------------------

  /** The driver is gone: what it had open is closed. */
  disconnect(): void {
    this.fids = new Map();
    this.longestMessage = SHORTEST_MESSAGE;
  }
  save(): P9ServerState {
    const fids = [...this.fids].map(([fid, { node, isOpen }]) => ({ fid, node: node.id, isOpen }));
    const open = [...this.fids.values()].map(({ node }) => node);
    return { tree: this.tree.save(open), fids, longestMessage: this.longestMessage };
  }
  restore({ tree, fids, longestMessage }: P9ServerState): void {
    const nodes = this.tree.restore(tree);
    this.fids = new Map(fids.map(({ fid, node, isOpen }) => [fid, { node: nodes.get(node) ?? this.tree.root, isOpen }]));
    this.longestMessage = longestMessage;
  }
}

function framed(type: number, tag: number, body: Uint8Array): Uint8Array {
  return new FieldWriter()
    .u32(HEADER_SIZE + body.length)
    .u8(type)
    .u16(tag)
    .raw(body)
    .bytes();
}

function putQid(answer: FieldWriter, { kind, version, id }: ShareNode): void {
  answer.u8(kind === 'folder' ? QidType.FOLDER : kind === 'link' ? QidType.LINK : QidType.FILE);
  answer.u32(version).u64(BigInt(id));
}

function modeOf({ kind, mode }: ShareNode): number {
  return mode | (kind === 'folder' ? FileType.FOLDER : kind === 'link' ? FileType.LINK : FileType.FILE);
}
