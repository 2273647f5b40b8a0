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

  /** Whether it may go on without its parent: the parent that halts doesn't wait for one that can't. */
  get mayGoOn(): boolean {
    return this.running !== undefined && !this.running.partition.isStuck;
  }
}
