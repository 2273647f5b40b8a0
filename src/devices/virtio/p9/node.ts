import type { EntryKind } from './host-folder.ts';

/** A file, folder or link of a share as the guest sees it. */
export interface ShareNode {
  /** Never that of another one: the path of its qid. */
  readonly id: number;
  readonly kind: EntryKind;
  /** Of a folder: where `..` leads; itself for the root. */
  parent: ShareNode | undefined;
  /** Where it is on the user's machine; undefined for what the guest made. */
  readonly host: readonly string[] | undefined;
  /** Permissions, owner and group. */
  mode: number;
  uid: number;
  gid: number;
  /** Nanoseconds since 1970. */
  modified: bigint;
  /** Bytes of a file. */
  size: number;
  /** Of a file that the guest wrote to: what is in it. It may have room behind `size`. */
  content: Uint8Array | undefined;
  /** Of a folder that was looked into: what is in it. */
  children: Map<string, ShareNode> | undefined;
  /** Of a link. */
  target: string | undefined;
  /** Grows with each change: the version of its qid. */
  version: number;
}

/** A node without its relatives, for a saved state. */
export type NodeState = Omit<ShareNode, 'parent' | 'children'> & {
  readonly parent: number | undefined;
  readonly children: readonly (readonly [name: string, id: number])[] | undefined;
};
