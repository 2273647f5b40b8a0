import type { HostEntry, HostFolder } from '../../../src/devices/virtio/p9/host-folder.ts';

/** A folder in memory: texts of files, targets of links (behind `->`), folders. */
export interface FakeTree {
  readonly [name: string]: string | FakeTree;
}

export class FakeFolder implements HostFolder {
  /** Calls of `read`. */
  reads = 0;
  constructor(private readonly tree: FakeTree) {}

  private find(path: readonly string[]): string | FakeTree | undefined {
    let found: string | FakeTree | undefined = this.tree;
    for (const name of path) found = typeof found === 'object' && Object.hasOwn(found, name) ? found[name] : undefined;
    return found;
  }
  look(path: readonly string[]): HostEntry | undefined {
    const found = this.find(path);
    if (found === undefined) return undefined;
    if (typeof found === 'object') return { kind: 'folder', size: 0, isExecutable: true };
    if (found.startsWith('->')) return { kind: 'link', size: 0, isExecutable: false };
    return { kind: 'file', size: found.length, isExecutable: path.at(-1)?.endsWith('.sh') ?? false };
  }
  list(path: readonly string[]): readonly string[] | undefined {
    const found = this.find(path);
    return typeof found === 'object' ? Object.keys(found) : undefined;
  }
  read(path: readonly string[], offset: number, length: number): Uint8Array | undefined {
    this.reads++;
    const found = this.find(path);
    return typeof found === 'string' ? new TextEncoder().encode(found).slice(offset, offset + length) : undefined;
  }
  target(path: readonly string[]): string | undefined {
    const found = this.find(path);
    return typeof found === 'string' ? found.slice(2) : undefined;
  }
}
