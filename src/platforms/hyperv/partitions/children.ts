import type { InspectNode } from '../../../devices/inspect.ts';
import type { Host } from '../../../hypervisor/host/host.ts';
import { HostRefusal } from '../../../hypervisor/host/host-memory.ts';
import { hex } from '../../../x86/address.ts';
import { HvStatus } from '../abi/status.ts';
import type { Hyperv } from '../hyperv.ts';
import { ChildPartition, type RunningChild } from './child-partition.ts';
import { MemoryPool, Price } from './memory-pool.ts';
import { type Refused, refused } from './refused.ts';

/** Partitions that one guest can have made at a time. */
const MOST_CHILDREN = 32;
const PAGE = 0x1000;

/** Makes what an initialized partition runs as. Throws HostRefusal where the host has no room. */
export type MakeRunning = (child: ChildPartition) => RunningChild;

/** The partitions that a guest has made, and the memory that it has given for them. */
export class ChildPartitions {
  private readonly members = new Map<bigint, ChildPartition>();
  /** What the parent has deposited for itself. */
  readonly ownPool = new MemoryPool();
  private readonly deposited = new Set<bigint>();

  constructor(
    private readonly parent: Hyperv,
    /** Where they run; undefined for a partition that can't make any. */
    private readonly host: Host | undefined,
    private readonly makeRunning: MakeRunning,
  ) {}

  /** Whether the partition can make any. */
  get canBe(): boolean {
    return this.host !== undefined;
  }

  get all(): readonly ChildPartition[] {
    return [...this.members.values()];
  }

  /** One of them may go on, and then send something. */
  get mayWakeParent(): boolean {
    for (const child of this.members.values()) if (child.mayGoOn) return true;
    return false;
  }

  find(id: bigint): ChildPartition | undefined {
    return this.members.get(id);
  }

  /** The number of the one behind another (0: of the first), 0 behind the last one. */
  next(previous: bigint): bigint {
    return [...this.members.keys()].find((id) => id > previous) ?? 0n;
  }

  create(flags: bigint, compatibilityVersion: number): ChildPartition | Refused {
    if (!this.host) return refused(HvStatus.PARTITION_TOO_DEEP, 'a partition that was made by a guest can make none');
    if (this.members.size >= MOST_CHILDREN)
      return refused(HvStatus.INSUFFICIENT_MEMORY, `a partition can have ${MOST_CHILDREN} children`);
    const hostId = this.host.nextId();
    const child = new ChildPartition(BigInt(hostId), hostId, this.parent, flags, compatibilityVersion);
    this.members.set(child.id, child);
    return child;
  }

  /** Created → active: the partition gets its address space. */
  initialize(child: ChildPartition): Refused | undefined {
    if (child.state !== 'created') return refused(HvStatus.INVALID_PARTITION_STATE, `the partition is ${child.state}`);
    if (!child.pool.use(Price.PARTITION))
      return refused(HvStatus.INSUFFICIENT_MEMORY, `it takes ${Price.PARTITION} pages; ${child.pool.available} are in its pool`);
    try {
      child.running = this.makeRunning(child);
    } catch (error) {
      child.pool.release(Price.PARTITION);
      if (error instanceof HostRefusal) return refused(HvStatus.INSUFFICIENT_MEMORY, error.message);
      throw error;
    }
    child.state = 'active';
    return undefined;
  }

  /** Active → finalized: all that it has ends, and its pages are its parent's again. */
  finalize(child: ChildPartition): Refused | undefined {
    if (child.state === 'finalized') return refused(HvStatus.INVALID_PARTITION_STATE, 'the partition is finalized');
    child.pages.unmapAll();
    this.stop(child);
    child.state = 'finalized';
    return undefined;
  }

  private stop(child: ChildPartition): void {
    const { running } = child;
    child.running = undefined;
    child.vps.clear();
    child.pool.release(child.pool.inUse);
    running?.hyperv.ports.clear();
    running?.hyperv.connections.clear();
    running?.hyperv.ports.clear();
    if (running) this.host?.destroy(running.partition);
  }

  delete(child: ChildPartition): Refused | undefined {
    if (child.state !== 'finalized')
      return refused(HvStatus.INVALID_PARTITION_STATE, `the partition is ${child.state}, not finalized`);
    if (child.pool.available > 0)
      return refused(HvStatus.OBJECT_IN_USE, `${child.pool.available} pages are still in its pool; withdraw them first`);
    this.members.delete(child.id);
    return undefined;
  }

  /** The parent is there no more, or as it was at the beginning: nothing of its children is left. Its memory was cleared. */
  forgetAll(): void {
    for (const child of this.members.values()) {
      child.pages.forget();
      this.stop(child);
      child.state = 'finalized';
    }
    this.members.clear();
    this.deposited.clear();
    while (this.ownPool.withdraw() !== undefined);
  }

  // --- deposits ------------------------------------------------------------------------------------------------------

  /** Whether a page of the parent is the hypervisor's now. */
  isDeposited(gpa: bigint): boolean {
    return this.deposited.has(gpa >> 12n);
  }

  /** Whether the parent's accesses to a page leave because of what has become of it. */
  hasTaken(gpa: bigint): boolean {
    return this.isDeposited(gpa) || this.parent.machine.secondLevel.memory.lentAt(gpa) !== undefined;
  }

  /** The pool of a child, or of the parent itself. */
  poolOf(id: bigint): MemoryPool | undefined {
    return id === this.parent.partitionId ? this.ownPool : this.members.get(id)?.pool;
  }

  deposit(pool: MemoryPool, page: bigint): Refused | undefined {
    const gpa = page << 12n;
    const { secondLevel } = this.parent.machine;
    const isMemory = page >> 40n === 0n && secondLevel.memory.locate(gpa) !== undefined && secondLevel.stateAt(gpa) === 'present';
    if (!isMemory || secondLevel.memory.lentAt(gpa) || this.parent.overlays.at(gpa))
      return refused(HvStatus.INVALID_PARAMETER, `page ${hex(page)} is no memory that the caller could give away`);
    secondLevel.memory.write(gpa, new Uint8Array(PAGE));
    secondLevel.takeAway(gpa, BigInt(PAGE));
    this.deposited.add(page);
    pool.deposit(page);
    return undefined;
  }

  /** Gives a page back, with nothing in it; undefined when there is none that isn't in use. */
  withdraw(pool: MemoryPool): bigint | undefined {
    const page = pool.withdraw();
    if (page === undefined) return undefined;
    this.deposited.delete(page);
    const { secondLevel } = this.parent.machine;
    secondLevel.deflate(page << 12n, BigInt(PAGE));
    secondLevel.memory.write(page << 12n, new Uint8Array(PAGE));
    return page;
  }

  inspect(): InspectNode {
    const children = this.all.map(
      ({ id, state, vps, pages, pool }): InspectNode => ({
        name: `partition ${id}`,
        value: state,
        detail: `${vps.size} vCPUs, ${pages.count} pages, ${pool.inUse} of ${pool.inUse + pool.available} deposited pages in use`,
      }),
    );
    return { name: 'children', value: `${children.length}`, children };
  }
}
