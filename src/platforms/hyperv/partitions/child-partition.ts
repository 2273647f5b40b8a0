import type { GuestPartition } from '../../../hypervisor/partition/guest-partition.ts';
import { CHILD_PRIVILEGES } from '../abi/privileges.ts';
import type { Hyperv } from '../hyperv.ts';
import { InstalledIntercepts } from './installed-intercepts.ts';
import { MappedPages } from './mapped-pages.ts';
import { MemoryPool } from './memory-pool.ts';

/** Where a partition is in its life (TLFS, "Partition life cycle"). */
export type ChildState = 'created' | 'active' | 'finalized';

/** What an active partition runs as. */
export interface RunningChild {
  readonly partition: GuestPartition;
  readonly hyperv: Hyperv;
}

/** A partition that a guest has made by hypercalls: what its parent and the hypervisor know of it. */
export class ChildPartition {
  state: ChildState = 'created';
  privileges = CHILD_PRIVILEGES;
  readonly properties = new Map<number, bigint>();
  readonly pool = new MemoryPool();
  readonly intercepts = new InstalledIntercepts();
  readonly pages: MappedPages;
  /** Numbers of the virtual processors that were created. */
  readonly vps = new Set<number>();
  /** While it is active. */
  running: RunningChild | undefined;

  constructor(
    /** Number among the partitions of the hypervisor. */
    readonly id: bigint,
    /** The same among those of the host. */
    readonly hostId: number,
    readonly parent: Hyperv,
    /** Creation flags of abi/intercepts.ts. */
    readonly flags: bigint,
    readonly compatibilityVersion: number,
  ) {
    this.pages = new MappedPages(this);
  }

  /** Whether its parent may hear of it without doing anything: the parent that halts doesn't wait for one that can't go on. */
  get mayGoOn(): boolean {
    const { running } = this;
    return running !== undefined && (!running.partition.isStuck || running.hyperv.connections.willSignal);
  }
}
