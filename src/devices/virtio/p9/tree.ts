import type { EntryKind, HostFolder } from './host-folder.ts';
import type { NodeState, ShareNode } from './node.ts';
import { Errno, P9Error } from './protocol.ts';

export interface ShareTreeState {
  readonly nodes: readonly NodeState[];
  readonly nextId: number;
}

/** Bytes that the guest may keep in all, nodes that it may know, and letters of a name. */
const MOST_BYTES = 512 << 20;
const MOST_NODES = 200_000;
const LONGEST_NAME = 255;
const LONGEST_TARGET = 4096;
const GROWTH = 0x1_0000;

const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;
const EXECUTABLE_MODE = 0o755;
const LINK_MODE = 0o777;

/**
 * A folder of the user's machine, and over it what the guest changed. A folder is read when the guest looks into it first; from then on
 * only the guest changes what is in it. Files are read where the guest reads, and are kept in memory once it writes to them.
 */
export class ShareTree {
  root: ShareNode;
  private nextId = 1;
  private nodes = 0;
  private bytes = 0;

  /** `now`: nanoseconds since 1970. What is on the user's machine has the time `start`, so that two runs are alike. */
  constructor(
    private readonly folder: HostFolder,
    private readonly start: bigint,
    private readonly now: () => bigint,
  ) {
    this.root = this.makeRoot();
  }

  private makeRoot(): ShareNode {
    const root = this.make('folder', FOLDER_MODE, [], this.start);
    root.parent = root;
    return root;
  }

  private make(kind: EntryKind, mode: number, host: readonly string[] | undefined, modified: bigint): ShareNode {
    if (++this.nodes > MOST_NODES) throw new P9Error(Errno.NO_SPACE);
    return {
      id: this.nextId++,
      kind,
      parent: undefined,
      host,
      mode,
      uid: 0,
      gid: 0,
      modified,
      size: 0,
      content: undefined,
      children: undefined,
      target: undefined,
      version: 0,
    };
  }

  // --- looking --------------------------------------------------------------------------------------------------------

  /** What is in a folder, by name. */
  children(node: ShareNode): Map<string, ShareNode> {
    if (node.kind !== 'folder') throw new P9Error(Errno.NO_FOLDER);
    if (node.children) return node.children;
    const found = new Map<string, ShareNode>();
    if (node.host) {
      const names = this.folder.list(node.host);
      if (names === undefined) throw new P9Error(Errno.IO);
      for (const name of [...names].sort(byCodeUnits)) {
        const child = isName(name) ? this.onHost([...node.host, name]) : undefined;
        if (child?.kind === 'folder') child.parent = node;
        if (child) found.set(name, child);
      }
    }
    node.children = found;
    return found;
  }

  private onHost(path: readonly string[]): ShareNode | undefined {
    const entry = this.folder.look(path);
    if (entry === undefined) return undefined;
    const mode = entry.kind === 'folder' ? FOLDER_MODE : entry.isExecutable ? EXECUTABLE_MODE : FILE_MODE;
    const node = this.make(entry.kind, entry.kind === 'link' ? LINK_MODE : mode, path, this.start);
    if (entry.kind === 'file') node.size = entry.size;
    if (entry.kind === 'link') node.target = this.folder.target(path) ?? '';
    return node;
  }

  child(node: ShareNode, name: string): ShareNode {
    if (name === '..') return node.parent ?? this.root;
    if (name === '.') return node;
    const found = this.children(node).get(name);
    if (found === undefined) throw new P9Error(Errno.NO_ENTRY);
    return found;
  }

  read(node: ShareNode, offset: number, length: number): Uint8Array {
    if (node.kind === 'folder') throw new P9Error(Errno.IS_FOLDER);
    const count = Math.max(0, Math.min(length, node.size - offset));
    if (count === 0) return new Uint8Array(0);
    if (node.content) return node.content.slice(offset, offset + count);
    const bytes = node.host && this.folder.read(node.host, offset, count);
    if (bytes === undefined) throw new P9Error(Errno.IO);
    return bytes;
  }

  // --- changing -------------------------------------------------------------------------------------------------------

  private touch(node: ShareNode): void {
    node.modified = this.now();
    node.version = (node.version + 1) >>> 0;
  }

  /** The memory of a file, with room for `size` bytes. */
  private own(node: ShareNode, size: number): Uint8Array {
    if (node.kind === 'folder') throw new P9Error(Errno.IS_FOLDER);
    const before = node.content;
    if (before && before.length >= size) return before;
    const capacity = Math.ceil(Math.max(size, node.size) / GROWTH) * GROWTH;
    if (this.bytes + capacity - (before?.length ?? 0) > MOST_BYTES) throw new P9Error(Errno.NO_SPACE);
    const kept = before?.subarray(0, node.size) ?? this.read(node, 0, Math.min(node.size, size));
    const content = new Uint8Array(capacity);
    content.set(kept);
    this.bytes += capacity - (before?.length ?? 0);
    node.content = content;
    return content;
  }

  write(node: ShareNode, offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (end > MOST_BYTES) throw new P9Error(Errno.NO_SPACE);
    this.own(node, Math.max(end, node.size)).set(bytes, offset);
    node.size = Math.max(node.size, end);
    this.touch(node);
  }

  truncate(node: ShareNode, size: number): void {
    if (size > MOST_BYTES) throw new P9Error(Errno.NO_SPACE);
    this.own(node, size).fill(0, Math.min(size, node.size));
    node.size = size;
    this.touch(node);
  }

  /** Changes attributes. */
  change(node: ShareNode, change: Partial<Pick<ShareNode, 'mode' | 'uid' | 'gid' | 'modified'>>): void {
    this.touch(node);
    Object.assign(node, change);
  }

  /** Makes something new in a folder. */
  create(folder: ShareNode, name: string, kind: EntryKind, mode: number, target?: string): ShareNode {
    const children = this.children(folder);
    checkName(name);
    if (children.has(name)) throw new P9Error(Errno.EXISTS);
    if (target !== undefined && target.length > LONGEST_TARGET) throw new P9Error(Errno.NAME_TOO_LONG);
    const node = this.make(kind, mode, undefined, this.now());
    node.target = target;
    if (kind === 'folder') node.parent = folder;
    if (kind === 'file') this.own(node, 0);
    children.set(name, node);
    this.touch(folder);
    return node;
  }

  /** Takes something out of a folder. `wantsFolder`: what it must be. */
  remove(folder: ShareNode, name: string, wantsFolder: boolean): void {
    const children = this.children(folder);
    const node = children.get(name);
    if (node === undefined) throw new P9Error(Errno.NO_ENTRY);
    if (wantsFolder !== (node.kind === 'folder')) throw new P9Error(wantsFolder ? Errno.NO_FOLDER : Errno.IS_FOLDER);
    if (wantsFolder && this.children(node).size > 0) throw new P9Error(Errno.NOT_EMPTY);
    children.delete(name);
    this.drop(node);
    this.touch(folder);
  }

  /** What is gone takes no room any more; who has it open sees an empty file. */
  private drop(node: ShareNode): void {
    this.bytes -= node.content?.length ?? 0;
    node.content = node.kind === 'file' ? new Uint8Array(0) : undefined;
    node.size = 0;
    this.nodes--;
  }

  rename(from: ShareNode, name: string, to: ShareNode, newName: string): void {
    const node = this.children(from).get(name);
    const target = this.children(to);
    if (node === undefined) throw new P9Error(Errno.NO_ENTRY);
    checkName(newName);
    for (let above = to; ; above = above.parent ?? this.root) {
      if (above === node) throw new P9Error(Errno.INVALID);
      if (above === this.root) break;
    }
    const replaced = target.get(newName);
    if (replaced === node) return;
    if (replaced) this.remove(to, newName, node.kind === 'folder');
    this.children(from).delete(name);
    target.set(newName, node);
    if (node.kind === 'folder') node.parent = to;
    this.touch(from);
    this.touch(to);
  }

  // --- as a part of a machine -----------------------------------------------------------------------------------------

  /** All nodes that the guest may know, each after its folder. Without recursion: folders may be nested deeply. */
  private *known(): Iterable<ShareNode> {
    const open: ShareNode[] = [this.root];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      yield node;
      open.push(...[...(node.children?.values() ?? [])].reverse());
    }
  }

  /** What the guest changed, for the state hash: names, attributes and contents of folders and files that it touched. */
  *contents(): Iterable<Uint8Array> {
    const encoder = new TextEncoder();
    for (const node of this.known()) {
      if (node.version === 0 && node.host) continue;
      const { id, kind, mode, uid, gid, modified, size, target = '' } = node;
      const names = [...(node.children ?? [])].map(([name, child]) => `${child.id} ${name}`);
      yield encoder.encode([id, kind, mode, uid, gid, modified, size, target, ...names].join('\n'));
      if (node.content) yield node.content.subarray(0, size);
    }
  }

  reset(): void {
    this.nextId = 1;
    this.nodes = 0;
    this.bytes = 0;
    this.root = this.makeRoot();
  }

  /** `more`: nodes that are gone from their folders, but still open. */
  save(more: Iterable<ShareNode>): ShareTreeState {
    const nodes = [...new Set([...this.known(), ...more])].map(
      (node): NodeState => ({
        ...node,
        parent: node.parent?.id,
        content: node.content?.slice(0, node.size),
        children: node.children && [...node.children].map(([name, child]) => [name, child.id] as const),
      }),
    );
    return { nodes, nextId: this.nextId };
  }

  /** Gives the nodes by their numbers, so that who holds one finds it again. */
  restore({ nodes, nextId }: ShareTreeState): ReadonlyMap<number, ShareNode> {
    const made = new Map(
      nodes.map((state): [number, ShareNode] => [
        state.id,
        { ...state, parent: undefined, children: undefined, content: state.content?.slice() },
      ]),
    );
    for (const { id, parent, children } of nodes) {
      const node = made.get(id);
      if (node === undefined) continue;
      node.parent = parent === undefined ? undefined : made.get(parent);
      node.children =
        children &&
        new Map(
          children.flatMap(([name, child]): [string, ShareNode][] => {
            const found = made.get(child);
            return found ? [[name, found]] : [];
          }),
        );
    }
    this.root = made.get(1) ?? this.makeRoot();
    this.nextId = nextId;
    this.nodes = nodes.length;
    this.bytes = nodes.reduce((sum, { content }) => sum + (content?.length ?? 0), 0);
    return made;
  }

  /** Bytes that are kept in memory. */
  get kept(): number {
    return this.bytes;
  }
}

/** Whether something may be called so: no way up or out. */
function isName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && name.length <= LONGEST_NAME && !/[/\\\0]/.test(name);
}
function checkName(name: string): void {
  if (!isName(name)) throw new P9Error(name.length > LONGEST_NAME ? Errno.NAME_TOO_LONG : Errno.INVALID);
}

/** The same order on every machine, whatever its language. */
function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
