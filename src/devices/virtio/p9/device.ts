import type { Handler } from '../../../stages/stage.ts';
import type { InspectNode } from '../../inspect.ts';
import { requireVersion } from '../../state.ts';
import { DeviceId, featureBits } from '../abi.ts';
import { serveMessages as serveMessagesAtOnce } from '../generated/p9.ts';
import { type ShareWork, serveMessages } from '../handlers/p9.ts';
import type { DriverSide, VirtioModel } from '../model.ts';
import type { HostFolder } from './host-folder.ts';
import { P9Server, type P9ServerState } from './server.ts';
import { ShareTree } from './tree.ts';

export interface VirtioP9State {
  readonly version: 1;
  readonly server: P9ServerState;
  readonly requests: number;
}

/** A folder as a machine has it. */
export interface Share {
  /** What the guest mounts it by. */
  readonly tag: string;
  readonly folder: HostFolder;
  readonly isReadOnly?: boolean;
}

export interface VirtioP9World extends Share {
  /** Nanoseconds since 1970: when the machine was switched on, and now. */
  readonly start: bigint;
  readonly now: () => bigint;
}

export const P9Feature = { MOUNT_TAG: 0 } as const;
export const LONGEST_TAG = 31;

/** The 9P transport device (virtio 1.4, 5.21; id 9): a shared folder, as Linux mounts it by `mount -t 9p -o trans=virtio TAG`. */
export class VirtioP9 implements VirtioModel<VirtioP9State>, ShareWork {
  readonly name = 'virtio-9p';
  readonly id = DeviceId.P9;
  readonly queues = [{ name: 'requests', size: 128 }];
  readonly features = featureBits(P9Feature.MOUNT_TAG);
  readonly featureBits = P9Feature;
  private driver: DriverSide | undefined;
  private readonly tree: ShareTree;
  private readonly server: P9Server;
  private requests = 0;

  constructor(private readonly world: VirtioP9World) {
    this.tree = new ShareTree(world.folder, world.start, world.now);
    this.server = new P9Server(this.tree, world.isReadOnly ?? false);
  }

  connect(driver: DriverSide): void {
    this.driver = driver;
  }
  configuration(): Uint8Array {
    const tag = new TextEncoder().encode(this.world.tag);
    return Uint8Array.of(tag.length & 0xff, tag.length >> 8, ...tag);
  }

  notified(index: number): void {
    if (this.driver) serveMessagesAtOnce(this, this.driver, index);
  }
  *notifiedInStages(index: number): Handler {
    if (this.driver) yield* serveMessages(this, this.driver, index);
  }
  answer(message: Uint8Array): Uint8Array {
    this.requests++;
    return this.server.serve(message);
  }

  disconnect(): void {
    this.server.disconnect();
  }
  reset(): void {
    this.server.disconnect();
    this.tree.reset();
    this.requests = 0;
  }
  contents(): Iterable<Uint8Array> {
    return this.tree.contents();
  }
  save(): VirtioP9State {
    return { version: 1, server: this.server.save(), requests: this.requests };
  }
  restore(state: VirtioP9State): void {
    requireVersion(this.name, state, 1);
    this.server.restore(state.server);
    this.requests = state.requests;
  }
  inspect(): readonly InspectNode[] {
    const { tag, isReadOnly = false } = this.world;
    return [
      { name: 'tag', value: tag, detail: isReadOnly ? 'read only' : 'what the guest writes stays in memory' },
      { name: 'requests', value: String(this.requests), detail: `${this.server.openCount} files and folders are in use` },
      { name: 'overlay', value: `${this.tree.kept} bytes`, detail: 'of files that the guest wrote to' },
    ];
  }
}
