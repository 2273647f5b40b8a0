import type { SecondLevelMap } from '../../../hypervisor/second-level/second-level-map.ts';
import { hex } from '../../../x86/address.ts';
import { MapFlag } from '../abi/intercepts.ts';
import { HvStatus } from '../abi/status.ts';
import type { ChildPartition } from './child-partition.ts';
import { Price } from './memory-pool.ts';
import { type Refused, refused } from './refused.ts';

const PAGE_BITS = 12n;
const PAGE = 0x1000;
/** Pages that one second-level table maps. */
const TABLE_BITS = 9n;
const SERVED_FLAGS =
  MapFlag.READABLE |
  MapFlag.WRITABLE |
  MapFlag.KERNEL_EXECUTABLE |
  MapFlag.USER_EXECUTABLE |
  MapFlag.KIND |
  MapFlag.NO_OVERLAY |
  MapFlag.NOT_CACHED;

/**
 * The pages that a child partition has of its parent. Each partition has a memory of its own, so what is in a page moves to the child's
 * when it is mapped, and comes back when it is unmapped; the parent's accesses to it are served from there meanwhile.
 */
export class MappedPages {
  /** The parent's page number by the child's. */
  private readonly sources = new Map<bigint, bigint>();
  /** The child's page number by the parent's. */
  private readonly targets = new Map<bigint, bigint>();
  /** What the child may do with a page: map flags, by its number. */
  private readonly flags = new Map<bigint, number>();
  /** Numbers of the child's pages that are as if nothing were mapped there. */
  private readonly hidden = new Set<bigint>();
  /** Changes when a page is mapped or unmapped. */
  version = 0;
  /** Second-level tables that were paid for, by what they map. */
  private readonly tables = new Set<bigint>();

  constructor(private readonly child: ChildPartition) {}

  /** The parent's page that is mapped at one of the child's. */
  sourceOf(page: bigint): bigint | undefined {
    return this.sources.get(page);
  }

  /** The child's page where one of the parent's is mapped. */
  targetOf(source: bigint): bigint | undefined {
    return this.targets.get(source);
  }

  get count(): number {
    return this.sources.size;
  }

  private get maps(): { readonly own: SecondLevelMap; readonly parents: SecondLevelMap } | undefined {
    const own = this.child.running?.partition.secondLevel;
    return own && { own, parents: this.child.parent.machine.secondLevel };
  }

  /** Maps a page of the parent, or changes what the child may do with one that is mapped there already. */
  map(page: bigint, source: bigint, flags: number): Refused | undefined {
    const { maps } = this;
    if (!maps) return refused(HvStatus.INVALID_PARTITION_STATE, 'the partition has no memory in its state');
    const problem = problemOfFlags(flags, maps.own.vendor);
    if (problem !== undefined) return refused(HvStatus.INVALID_PARAMETER, problem);
    const gpa = page << PAGE_BITS;
    if (maps.own.memory.locate(gpa) === undefined)
      return refused(HvStatus.INVALID_PARAMETER, `the child can't have memory at ${hex(gpa)}: it is beyond its address space`);
    if (this.sources.get(page) !== source) {
      const why = this.problemOfSource(source);
      if (why !== undefined) return refused(HvStatus.INVALID_PARAMETER, why);
      if (!this.payForTable(page)) return refused(HvStatus.INSUFFICIENT_MEMORY, 'its pool has no page for another table');
      this.unmap(page);
      this.move(page, source, maps);
    }
    this.flags.set(page, flags);
    if (this.hidden.has(page)) maps.own.takeAway(gpa, BigInt(PAGE));
    else this.allow(gpa, flags, maps.own);
    return undefined;
  }

  /** Has accesses of the child to a page leave as if nothing were mapped there. What is mapped stays, and its parent reaches it. */
  hide(page: bigint): void {
    this.hidden.add(page);
    if (this.sources.has(page)) this.maps?.own.takeAway(page << PAGE_BITS, BigInt(PAGE));
  }

  /** Undoes {@link hide}. */
  show(page: bigint): void {
    this.hidden.delete(page);
    const { maps } = this;
    if (!maps || !this.sources.has(page)) return;
    const gpa = page << PAGE_BITS;
    maps.own.deflate(gpa, BigInt(PAGE));
    this.allow(gpa, this.flags.get(page) ?? 0, maps.own);
  }

  private problemOfSource(source: bigint): string | undefined {
    const { parent } = this.child;
    const gpa = source << PAGE_BITS;
    if (source >> 40n !== 0n) return "the source is beyond the parent's address space";
    const { secondLevel } = parent.machine;
    if (parent.overlays.at(gpa)) return `the parent has an overlay page at ${hex(gpa)}`;
    if (secondLevel.memory.lentAt(gpa)) return `the parent's page at ${hex(gpa)} is mapped in a child already`;
    if (parent.children.isDeposited(gpa)) return `the parent's page at ${hex(gpa)} is deposited`;
    if (secondLevel.memory.locate(gpa) === undefined || secondLevel.stateAt(gpa) !== 'present')
      return `the parent has no memory at ${hex(gpa)}`;
    return undefined;
  }

  private payForTable(page: bigint): boolean {
    const table = page >> TABLE_BITS;
    if (this.tables.has(table)) return true;
    if (!this.child.pool.use(Price.TABLE)) return false;
    this.tables.add(table);
    return true;
  }

  private move(page: bigint, source: bigint, { own, parents }: { own: SecondLevelMap; parents: SecondLevelMap }): void {
    const from = source << PAGE_BITS;
    const to = page << PAGE_BITS;
    const contents = parents.memory.read(from, PAGE);
    own.deflate(to, BigInt(PAGE));
    own.memory.write(to, contents);
    // What was there must be nowhere else: the parent may give the page away again.
    parents.memory.write(from, new Uint8Array(PAGE));
    parents.takeAway(from, BigInt(PAGE));
    parents.memory.setLent(from, { memory: own.memory, gpa: to });
    this.sources.set(page, source);
    this.targets.set(source, page);
    this.version++;
  }

  private allow(gpa: bigint, flags: number, own: SecondLevelMap): void {
    const hasAccess = (flags & MapFlag.KIND) !== MapFlag.NO_ACCESS;
    own.setPermissions(gpa, BigInt(PAGE), {
      read: hasAccess && (flags & MapFlag.READABLE) !== 0,
      write: hasAccess && (flags & MapFlag.WRITABLE) !== 0,
      execute: hasAccess && (flags & (MapFlag.KERNEL_EXECUTABLE | MapFlag.USER_EXECUTABLE)) !== 0,
    });
    own.setMemoryType(gpa, BigInt(PAGE), (flags & MapFlag.NOT_CACHED) !== 0 ? 'UC' : 'WB');
  }

  /** Takes a page from the child, if one is mapped there, and gives what is in it back to the parent. */
  unmap(page: bigint): void {
    const { maps } = this;
    const source = this.sources.get(page);
    if (!maps || source === undefined) return;
    const gpa = page << PAGE_BITS;
    const home = source << PAGE_BITS;
    this.uncover(gpa);
    const contents = maps.own.memory.read(gpa, PAGE);
    maps.own.memory.write(gpa, new Uint8Array(PAGE));
    maps.own.takeAway(gpa, BigInt(PAGE));
    maps.parents.memory.setLent(home, undefined);
    maps.parents.deflate(home, BigInt(PAGE));
    maps.parents.memory.write(home, contents);
    this.sources.delete(page);
    this.flags.delete(page);
    this.targets.delete(source);
    this.version++;
  }

  /** Takes away what the hypervisor has laid over a page of the child. */
  private uncover(gpa: bigint): void {
    const overlays = this.child.running?.hyperv.overlays;
    for (let page = overlays?.at(gpa); page; page = overlays?.at(gpa)) page.remove();
  }

  /** Gives all pages back. */
  unmapAll(): void {
    for (const page of [...this.sources.keys()]) this.unmap(page);
    this.tables.clear();
  }

  /** After the parent's memory was cleared: its pages are its own again, with nothing in them. */
  forget(): void {
    const { memory } = this.child.parent.machine.secondLevel;
    for (const source of this.sources.values()) memory.setLent(source << PAGE_BITS, undefined);
    this.sources.clear();
    this.targets.clear();
    this.flags.clear();
    this.tables.clear();
  }
}

function problemOfFlags(flags: number, vendor: 'intel' | 'amd'): string | undefined {
  if ((flags & ~SERVED_FLAGS) !== 0) return `the map flags ${hex(flags >>> 0)} ask for what is not served here`;
  const kind = flags & MapFlag.KIND;
  if (kind !== 0 && kind !== MapFlag.NO_ACCESS) return 'pages of zeroes or ones are not served here';
  const executes = (flags & (MapFlag.KERNEL_EXECUTABLE | MapFlag.USER_EXECUTABLE)) !== 0;
  const reads = (flags & MapFlag.READABLE) !== 0;
  if (!reads && (flags & MapFlag.WRITABLE) !== 0) return 'a page that can be written but not read has no second-level entry';
  if (!reads && executes && vendor === 'amd') return 'a page that can be executed but not read has no entry of nested paging';
  return undefined;
}
