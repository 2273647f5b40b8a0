import type { ExitDetail, SecondLevelAccess } from '../../processor/exit.ts';
import type { PartitionMemory, PlacedRegion } from '../../processor/memory/partition-memory.ts';
import { Need, PageBit, type RefusedAccess, type SecondLevel } from '../../processor/memory/second-level.ts';
import { tableRegistry } from '../../processor/memory/table-registry.ts';
import { hex } from '../../x86/address.ts';
import { Holes } from './holes.ts';
import { GPA_BITS, type HostPlace } from './host-place.ts';
import {
  ALL_RIGHTS,
  FLAGS,
  isPagedOut,
  isPresent,
  LEAF_SIZES,
  lacksMemory,
  type MemoryType,
  memoryTypeOf,
  type PageState,
  type Permissions,
  permissionsOf,
  READ_ONLY,
  sizeClassOf,
  stateOf,
  WITHHELD,
  withMemory,
  withMemoryType,
  withoutMemory,
  withPermissions,
} from './page-word.ts';
import { PageWords } from './page-words.ts';

/** A page as the second level maps it, or the lack of one. */
export interface SecondLevelPage {
  /** Where it begins. */
  readonly gpa: bigint;
  /** Bytes: 4 KiB, 2 MiB, 1 GiB; more where nothing is mapped at all. */
  readonly size: bigint;
  readonly state: PageState;
  /** Where its memory begins; undefined without any. */
  readonly spa: bigint | undefined;
  readonly permissions: Permissions;
  readonly memoryType: MemoryType;
  readonly accessed: boolean;
  readonly dirty: boolean;
  /** The right to write is withheld by the dirty log. */
  readonly withheld: boolean;
  /** Devices answer, and the entry is a misconfigured one so that the hypervisor knows it at once. */
  readonly isMarked?: boolean;
}

/** A range of RAM whose pages differ in nothing but their flags. */
export interface SecondLevelRange {
  readonly gpa: bigint;
  readonly size: bigint;
  /** Bytes of each of its pages. */
  readonly pageSize: number;
  readonly state: PageState;
  readonly permissions: Permissions;
  readonly memoryType: MemoryType;
  readonly withheld: boolean;
}

export interface SecondLevelOptions {
  /** Whose format its entries have. NPT has no pages that can be executed but not read. */
  readonly vendor: 'intel' | 'amd';
  /** Entries have accessed and dirty flags: bit 6 of the EPTP. Always so with NPT. */
  readonly hasFlags?: boolean;
}

/**
 * Takes a page whose dirty flag is about to be set; false if it can't now. `insists`: it must, also for a page that it withheld.
 */
export type DirtyObserver = (gpa: bigint, insists: boolean) => boolean;

/**
 * Second-level translation of one partition: what each page of its guest physical memory is, and what its vCPUs may do with it. It
 * says the same in two formats, EPT and NPT (ept.ts, npt.ts). At first all RAM is there with all rights, in the largest pages that it
 * allows; a page that a part of changes is split.
 */
export class SecondLevelMap implements SecondLevel {
  readonly vendor: 'intel' | 'amd';
  readonly hasFlags: boolean;
  readonly walkNeeds: number;
  readonly words: Uint16Array;
  readonly start: number;
  private readonly pages: PageWords;
  private readonly holes = new Holes();
  /** Pages of RAM may have been taken away. */
  private mayLackMemory = false;
  /** Asked when a dirty flag is about to be set. */
  private observer: DirtyObserver | undefined;
  /** Told of page tables and instructions where no RAM is. */
  onMissing: ((gpa: bigint, access: 'walk' | 'fetch') => void) | undefined;
  /** Entries of device memory are misconfigured on purpose, as KVM has them on Intel's processors. */
  marksDevices = false;
  /** Rights to write that are given are withheld: the dirty log wants to see the first write. */
  withholds = false;

  constructor(
    readonly memory: PartitionMemory,
    readonly place: HostPlace,
    { vendor, hasFlags = true }: SecondLevelOptions,
  ) {
    this.vendor = vendor;
    this.hasFlags = hasFlags || vendor === 'amd';
    this.walkNeeds = this.hasFlags ? Need.WALK : Need.READ;
    this.pages = new PageWords(memory);
    this.words = this.pages.words;
    this.start = this.pages.start;
    this.reset();
    memory.secondLevel = this;
    memory.onWrite((gpa, length, cause) => cause === 'other' && this.writtenFromOutside(gpa, length));
  }

  /** Everything as at the beginning. */
  reset(): void {
    this.observer = undefined;
    this.withholds = false;
    this.mayLackMemory = false;
    this.holes.clear();
    this.words.fill(withoutMemory(0, 'mmio'));
    for (const { gpa, offset, length } of this.memory.regions) {
      const page = this.pages.pageAt(offset);
      this.words.fill(this.given(0), page, page + length / 0x1000);
      this.enlarge(gpa, BigInt(length));
    }
    this.flush();
  }

  // --- what vCPUs ask -------------------------------------------------------------------------------------------------

  grants(offset: number, need: number): boolean {
    const page = (offset - this.start) >>> 12;
    return (this.pages.at(page) & need) === need || this.setFlags(page, need);
  }

  private setFlags(page: number, need: number): boolean {
    const word = this.pages.at(page);
    const rights = need & ALL_RIGHTS;
    if ((word & rights) !== rights) return false;
    const isFirstWrite = (need & PageBit.DIRTY & ~word) !== 0;
    if (isFirstWrite && this.observer && !this.observer(this.pages.gpaOf(page), false)) return false;
    this.words[page] = word | (need & FLAGS);
    return true;
  }

  isSettled(offset: number, need: number): boolean {
    return (this.pages.at(this.pages.pageAt(offset)) & need) === need;
  }

  refusal({ gpa, need, gva, duringWalk }: RefusedAccess): ExitDetail | 'device' {
    const page = this.pages.pageOf(gpa);
    const word = page === undefined ? undefined : this.pages.at(page);
    const state = word === undefined ? this.holes.stateAt(gpa) : stateOf(word);
    const access = accessOf(need);
    if (state === 'mmio' && !duringWalk && (access !== 'execute' || word === undefined)) return 'device';
    if (word !== undefined && (word & READ_ONLY) !== 0 && access === 'write' && !duringWalk) return 'device';
    if (state === 'misconfigured') return { reason: 'second-level-misconfiguration', gpa, gva, access, duringWalk };
    const rights = need & ALL_RIGHTS;
    if (word !== undefined && (word & rights) === rights) return { reason: 'dirty-log', gpa, gva };
    return { reason: 'second-level-violation', gpa, gva, access, allowed: permissionsOf(word ?? 0), duringWalk };
  }

  insist(offset: number, need: number): void {
    const page = this.pages.pageAt(offset);
    const word = this.pages.at(page);
    if (!isPresent(word) && !lacksMemory(word)) return;
    if ((need & PageBit.DIRTY) !== 0 && ((word & PageBit.DIRTY) === 0 || (word & WITHHELD) !== 0))
      this.observer?.(this.pages.gpaOf(page), true);
    this.words[page] = (isPresent(word) ? word : this.given(word)) | (need & FLAGS);
  }

  isDevice(gpa: number): boolean {
    return !this.holes.areSet || this.holes.stateAt(BigInt(gpa)) === 'mmio';
  }

  noteMissing(gpa: number, access: 'walk' | 'fetch'): void {
    this.onMissing?.(BigInt(gpa), access);
  }

  // --- looking at it --------------------------------------------------------------------------------------------------

  /** What is at a guest physical address: {@link lookUp} for who needs to know no more. */
  stateAt(gpa: bigint): PageState {
    const page = this.pages.pageOf(gpa);
    return page === undefined ? this.holes.stateAt(gpa) : stateOf(this.pages.at(page));
  }

  /** The page that has a guest physical address. */
  lookUp(gpa: bigint): SecondLevelPage {
    const leaf = this.pages.leafAt(gpa);
    if (!leaf) return this.lookUpHole(gpa);
    const { word, flags } = leaf;
    const state = stateOf(word);
    return {
      gpa: leaf.gpa,
      size: leaf.size,
      state,
      spa: state === 'present' ? this.spaOf(leaf.gpa) : undefined,
      permissions: permissionsOf(word),
      memoryType: memoryTypeOf(word),
      accessed: state === 'present' && this.hasFlags && (flags & PageBit.ACCESSED) !== 0,
      dirty: state === 'present' && this.hasFlags && (flags & PageBit.DIRTY) !== 0,
      withheld: state === 'present' && (word & WITHHELD) !== 0,
      isMarked: state === 'mmio' && this.marksDevices,
    };
  }

  private lookUpHole(gpa: bigint): SecondLevelPage {
    // As far up as there is nothing.
    const sizes = [0x80_0000_0000n, 0x4000_0000n, 0x20_0000n];
    const state = this.holes.stateAt(gpa);
    const isMarked = state === 'mmio' && this.marksDevices && gpa >> GPA_BITS === 0n;
    const size = isMarked ? 0x1000n : (sizes.find((bytes) => !this.hasPages(gpa & -bytes, bytes)) ?? 0x1000n);
    return {
      gpa: gpa & -size,
      size,
      state,
      spa: undefined,
      permissions: permissionsOf(0),
      memoryType: 'UC',
      accessed: false,
      dirty: false,
      withheld: false,
      isMarked,
    };
  }

  /** All RAM in ranges, in order. */
  *ranges(): Iterable<SecondLevelRange> {
    for (const { gpa, size, word } of this.pages.ranges())
      yield {
        gpa,
        size,
        pageSize: LEAF_SIZES[sizeClassOf(word)],
        state: stateOf(word),
        permissions: permissionsOf(word),
        memoryType: memoryTypeOf(word),
        withheld: isPresent(word) && (word & WITHHELD) !== 0,
      };
  }

  /** Whether a table has to be for a block of guest physical addresses. */
  hasPages(gpa: bigint, size: bigint): boolean {
    const hasRam = this.memory.regions.some((region) => region.gpa < gpa + size && gpa < region.gpa + BigInt(region.length));
    return hasRam || this.holes.hasOther(gpa, size);
  }

  /** Whether any page of a block was accessed. */
  isAccessed(gpa: bigint, size: bigint): boolean {
    if (!this.hasFlags) return false;
    for (const page of this.pages.pagesOf(gpa, size)) {
      const word = this.pages.at(page);
      if (isPresent(word) && (word & PageBit.ACCESSED) !== 0) return true;
    }
    return false;
  }

  /** System physical address of RAM: where it lies in the host. Undefined in a hole. */
  spaOf(gpa: bigint): bigint | undefined {
    const place = this.memory.locate(gpa);
    return place && this.place.ram + BigInt(place.offset - this.start);
  }

  // --- changing it ----------------------------------------------------------------------------------------------------

  /**
   * Says what may be done with pages of RAM that are present. Throws RangeError for what isn't made of whole pages, and for rights that
   * have no entry: to write without to read, and with NPT to execute without to read.
   */
  setPermissions(gpa: bigint, size: bigint, permissions: Permissions): void {
    if (permissions.write && !permissions.read)
      throw new RangeError('A page that can be written but not read is a misconfigured one; let it be read too.');
    if (this.vendor === 'amd' && permissions.execute && !permissions.read)
      throw new RangeError('NPT has no pages that can be executed but not read; let it be read too.');
    this.change(gpa, size, (word) => (isPresent(word) ? withPermissions(word, permissions, this.withholds) : word));
  }

  setMemoryType(gpa: bigint, size: bigint, type: MemoryType): void {
    this.change(gpa, size, (word) => (isPresent(word) ? withMemoryType(word, type) : word));
  }

  /**
   * Makes a part of the memory RAM of the guest, as at the beginning. `readOnly`: devices answer writes to it. The range and the bytes are
   * no RAM yet, and made of whole pages.
   */
  addRam(region: PlacedRegion, readOnly = false): void {
    const { gpa, length } = region;
    checkRange(gpa, BigInt(length));
    this.memory.placeAnew([...this.memory.regions, region]);
    const first = this.pages.pageAt(region.offset);
    this.words.fill(this.given(readOnly ? READ_ONLY : 0), first, first + length / 0x1000);
    if (!this.withholds) this.enlarge(gpa, BigInt(length));
    this.contentChanged(region);
  }

  /** Undoes {@link addRam}: devices answer there from now on. What is in the memory stays. */
  removeRam(gpa: bigint): void {
    const { regions } = this.memory;
    const region = regions.find((each) => each.gpa === gpa);
    if (!region) return;
    this.memory.placeAnew(regions.filter((each) => each !== region));
    const first = this.pages.pageAt(region.offset);
    this.words.fill(withoutMemory(0, 'mmio'), first, first + region.length / 0x1000);
    this.contentChanged(region);
  }

  private contentChanged({ gpa, length }: PlacedRegion): void {
    this.memory.notifyWrite(gpa, length, 'owner');
    this.flush();
  }

  /** Has devices answer in a range, whether there is RAM or not. */
  setMmio(gpa: bigint, size: bigint): void {
    this.setWithoutMemory(gpa, size, 'mmio');
  }

  /** Makes the entries of a range such that the processor refuses to read them. */
  misconfigure(gpa: bigint, size: bigint): void {
    this.setWithoutMemory(gpa, size, 'misconfigured');
  }

  /** Takes pages of RAM away from the partition. They are scrubbed before that. `ballooned`: the guest gave them back. */
  balloon(gpa: bigint, size: bigint, state: 'ballooned' | 'unbacked' = 'ballooned'): void {
    checkRange(gpa, size);
    for (const [from, length] of this.pages.ramWithin(gpa, size)) {
      const place = this.memory.locate(from);
      if (!place) continue;
      this.memory.bytes.fill(0, place.offset, place.offset + Number(length));
      this.memory.notifyWrite(from, Number(length));
    }
    this.mayLackMemory = true;
    this.change(gpa, size, (word) => withoutMemory(word, state));
  }

  /**
   * Takes pages of RAM out of the map, so that accesses to them leave, and the hypervisor serves them. What is in them stays in the
   * memory; {@link deflate} gives them back.
   */
  takeAway(gpa: bigint, size: bigint): void {
    this.change(gpa, size, (word) => withoutMemory(word, 'mmio'));
  }

  /** Puts pages of RAM that are present on the host's disk. What is in them comes back with them. */
  pageOut(gpa: bigint, size: bigint): void {
    this.mayLackMemory = true;
    this.change(gpa, size, (word) => (isPresent(word) ? withoutMemory(word, 'paged-out') : word));
  }

  /** Brings the page of an address back from there, if it is there. */
  pageIn(gpa: bigint): void {
    this.changeWithin(gpa & ~0xfffn, 0x1000n, (word) => (isPagedOut(word) ? this.given(word) : word));
  }

  /** Gives memory to the pages of RAM in a range that have none: with all rights, and nothing in it. */
  deflate(gpa: bigint, size: bigint): void {
    this.changeWithin(gpa, size, (word) => (isPresent(word) ? word : this.given(word)));
  }

  /** A page that gets memory. Without flags nobody may be kept waiting for them. */
  private given(word: number): number {
    const given = withMemory(word) | (this.hasFlags ? 0 : FLAGS);
    return this.withholds && (given & PageBit.WRITE) !== 0 ? (given & ~PageBit.WRITE) | WITHHELD : given;
  }

  private setWithoutMemory(gpa: bigint, size: bigint, state: 'mmio' | 'misconfigured'): void {
    checkRange(gpa, size);
    this.holes.set(gpa, size, state);
    this.change(gpa, size, (word) => withoutMemory(word, state));
  }

  /** Changes the words of all pages of RAM in a range, whose large pages are split where only a part of them changes. */
  change(gpa: bigint, size: bigint, change: (word: number) => number): void {
    this.changeWithin(gpa, size, change);
    this.flush();
  }

  /** The same for what takes nothing away that translations may have been made of. */
  private changeWithin(gpa: bigint, size: bigint, change: (word: number) => number): void {
    checkRange(gpa, size);
    this.pages.change(gpa, size, change);
  }

  /** Changes the words of single pages of RAM of 4 KiB. */
  changePages(gpas: readonly bigint[], change: (word: number) => number): void {
    for (const gpa of gpas) {
      const page = this.pages.pageOf(gpa);
      if (page !== undefined) this.words[page] = change(this.pages.at(page));
    }
    if (gpas.length > 0) this.flush();
  }

  /** Gives the right to write that was withheld. */
  allowWithheld(gpa: bigint): void {
    const page = this.pages.pageOf(gpa);
    const word = page === undefined ? 0 : this.pages.at(page);
    if (page !== undefined && (word & WITHHELD) !== 0) this.words[page] = (word & ~WITHHELD) | PageBit.WRITE;
  }

  /** Guest physical addresses of the pages that have their dirty flag set. */
  *dirtyPages(): Iterable<bigint> {
    for (const { gpa, length } of this.memory.regions)
      for (const page of this.pages.pagesOf(gpa, BigInt(length))) {
        const word = this.pages.at(page);
        if (isPresent(word) && (word & PageBit.DIRTY) !== 0) yield this.pages.gpaOf(page);
      }
  }

  /** Splits what is larger than 4 KiB in a range. */
  splitAll(gpa: bigint, size: bigint): void {
    this.pages.splitAll(gpa, size);
  }

  /** Makes large pages of those in a range that differ in nothing but their flags, where the memory is aligned. */
  enlarge(gpa: bigint, size: bigint): void {
    this.pages.enlarge(gpa, size);
  }

  /** Has each page that gets its dirty flag told to somebody, who may object. */
  observeDirty(observer: DirtyObserver | undefined): void {
    this.observer = observer;
  }

  /** Has all vCPUs ask again, as INVEPT does. */
  flush(): void {
    tableRegistry(this.memory).flush();
  }

  /** The hypervisor or a device writes to RAM: what has no memory gets it first. */
  private writtenFromOutside(gpa: bigint, length: number): void {
    if (!this.mayLackMemory) return;
    const start = gpa & ~0xfffn;
    for (const page of this.pages.pagesOf(start, gpa + BigInt(length) - start)) {
      const word = this.pages.at(page);
      if (lacksMemory(word)) this.words[page] = this.given(word);
    }
  }
}

function checkRange(gpa: bigint, size: bigint): void {
  if ((gpa & 0xfffn) !== 0n || (size & 0xfffn) !== 0n || size <= 0n || gpa < 0n)
    throw new RangeError(
      `The range of ${hex(size < 0n ? 0n : size)} bytes at ${hex(gpa < 0n ? 0n : gpa)} is not made of whole pages of 4 KiB.`,
    );
  if (gpa + size > 1n << GPA_BITS)
    throw new RangeError(
      `The range of ${hex(size)} bytes at ${hex(gpa)} ends beyond the ${GPA_BITS} bits of guest physical addresses.`,
    );
}

function accessOf(need: number): SecondLevelAccess {
  if (need & PageBit.EXECUTE) return 'execute';
  if (need & PageBit.WRITE) return need & PageBit.READ ? 'read-write' : 'write';
  return 'read';
}
