import type { ExitDetail, SecondLevelAccess } from '../../processor/exit.ts';
import type { PartitionMemory } from '../../processor/memory/partition-memory.ts';
import { Need, PageBit, type RefusedAccess, type SecondLevel } from '../../processor/memory/second-level.ts';
import { tableRegistry } from '../../processor/memory/table-registry.ts';
import { hex } from '../../x86/address.ts';
import { Holes } from './holes.ts';
import { GPA_BITS, type HostPlace } from './host-place.ts';
import {
  ALL_RIGHTS,
  FLAGS,
  isPresent,
  LEAF_SIZES,
  lacksMemory,
  type MemoryType,
  memoryTypeOf,
  type PageState,
  type Permissions,
  permissionsOf,
  sizeClassOf,
  stateOf,
  WITHHELD,
  withMemory,
  withMemoryType,
  withoutMemory,
  withPermissions,
  withSizeClass,
} from './page-word.ts';

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
  /** By offset in the memory, from the start of RAM on: see page-word.ts. */
  readonly words: Uint16Array;
  /** Offset of the start of RAM in the memory. */
  readonly start: number;
  private readonly holes = new Holes();
  /** Pages of RAM may have been taken away. */
  private mayLackMemory = false;
  /** Asked when a dirty flag is about to be set. */
  private observer: DirtyObserver | undefined;
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
    const first = memory.regions[0];
    const last = memory.regions.at(-1);
    this.start = first?.offset ?? 0;
    this.words = new Uint16Array(last ? (last.offset + last.length - this.start) / 0x1000 : 0);
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
      const page = this.pageAt(offset);
      // Without flags nobody may be kept waiting for them.
      this.words.fill(this.given(0), page, page + length / 0x1000);
      this.enlarge(gpa, BigInt(length));
    }
    this.flush();
  }

  // --- what vCPUs ask -------------------------------------------------------------------------------------------------

  grants(offset: number, need: number): boolean {
    const page = (offset - this.start) >>> 12;
    return ((this.words[page] ?? 0) & need) === need || this.setFlags(page, need);
  }

  private setFlags(page: number, need: number): boolean {
    const word = this.words[page] ?? 0;
    const rights = need & ALL_RIGHTS;
    if ((word & rights) !== rights) return false;
    const isFirstWrite = (need & PageBit.DIRTY & ~word) !== 0;
    if (isFirstWrite && this.observer && !this.observer(this.gpaOf(page), false)) return false;
    this.words[page] = word | (need & FLAGS);
    return true;
  }

  isSettled(offset: number, need: number): boolean {
    return ((this.words[this.pageAt(offset)] ?? 0) & need) === need;
  }

  refusal({ gpa, need, gva, duringWalk }: RefusedAccess): ExitDetail | 'device' {
    const word = this.wordAt(gpa);
    const state = word === undefined ? this.holes.stateAt(gpa) : stateOf(word);
    const access = accessOf(need);
    if (state === 'mmio' && !duringWalk && (access !== 'execute' || word === undefined)) return 'device';
    if (state === 'misconfigured') return { reason: 'second-level-misconfiguration', gpa, gva, access, duringWalk };
    const rights = need & ALL_RIGHTS;
    if (word !== undefined && (word & rights) === rights) return { reason: 'dirty-log', gpa, gva };
    return { reason: 'second-level-violation', gpa, gva, access, allowed: permissionsOf(word ?? 0), duringWalk };
  }

  insist(offset: number, need: number): void {
    const page = this.pageAt(offset);
    const word = this.words[page] ?? 0;
    if (!isPresent(word) && !lacksMemory(word)) return;
    if ((need & PageBit.DIRTY) !== 0 && ((word & PageBit.DIRTY) === 0 || (word & WITHHELD) !== 0))
      this.observer?.(this.gpaOf(page), true);
    this.words[page] = (isPresent(word) ? word : this.given(word)) | (need & FLAGS);
  }

  isDevice(gpa: number): boolean {
    return !this.holes.areSet || this.holes.stateAt(BigInt(gpa)) === 'mmio';
  }

  // --- looking at it --------------------------------------------------------------------------------------------------

  /** The page that has a guest physical address. */
  lookUp(gpa: bigint): SecondLevelPage {
    const word = this.wordAt(gpa);
    if (word === undefined) return this.lookUpHole(gpa);
    const size = BigInt(LEAF_SIZES[sizeClassOf(word)]);
    const start = gpa & -size;
    let flags = 0;
    for (const page of this.pagesOf(start, size)) flags |= this.words[page] ?? 0;
    const state = stateOf(word);
    return {
      gpa: start,
      size,
      state,
      spa: state === 'present' ? this.spaOf(start) : undefined,
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
    for (const { gpa, offset, length } of this.memory.regions) {
      const first = this.pageAt(offset);
      const end = first + length / 0x1000;
      for (let page = first; page < end; ) {
        const word = (this.words[page] ?? 0) & ~FLAGS;
        const pageSize = LEAF_SIZES[sizeClassOf(word)];
        const start = page;
        while (page < end && ((this.words[page] ?? 0) & ~FLAGS) === word) page += pageSize / 0x1000;
        yield {
          gpa: gpa + BigInt((start - first) * 0x1000),
          size: BigInt((page - start) * 0x1000),
          pageSize,
          state: stateOf(word),
          permissions: permissionsOf(word),
          memoryType: memoryTypeOf(word),
          withheld: isPresent(word) && (word & WITHHELD) !== 0,
        };
      }
    }
  }

  /** Whether a table has to be for a block of guest physical addresses. */
  hasPages(gpa: bigint, size: bigint): boolean {
    const hasRam = this.memory.regions.some((region) => region.gpa < gpa + size && gpa < region.gpa + BigInt(region.length));
    return hasRam || this.holes.hasOther(gpa, size);
  }

  /** Whether any page of a block was accessed. */
  isAccessed(gpa: bigint, size: bigint): boolean {
    if (!this.hasFlags) return false;
    for (const page of this.pagesOf(gpa, size)) {
      const word = this.words[page] ?? 0;
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
    for (const [from, length] of this.ramWithin(gpa, size)) {
      const place = this.memory.locate(from);
      if (!place) continue;
      this.memory.bytes.fill(0, place.offset, place.offset + Number(length));
      this.memory.notifyWrite(from, Number(length));
    }
    this.mayLackMemory = true;
    this.change(gpa, size, (word) => withoutMemory(word, state));
  }

  /** Gives memory to the pages of RAM in a range that have none: with all rights, and nothing in it. */
  deflate(gpa: bigint, size: bigint): void {
    this.changeWithin(gpa, size, (word) => (isPresent(word) ? word : this.given(word)));
  }

  /** A page that gets memory. */
  private given(word: number): number {
    const given = withMemory(word) | (this.hasFlags ? 0 : FLAGS);
    return this.withholds ? (given & ~PageBit.WRITE) | WITHHELD : given;
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
    this.splitAt(gpa);
    this.splitAt(gpa + size);
    for (const page of this.pagesOf(gpa, size)) this.words[page] = change(this.words[page] ?? 0);
  }

  /** Changes the words of single pages of RAM of 4 KiB. */
  changePages(gpas: readonly bigint[], change: (word: number) => number): void {
    for (const gpa of gpas) {
      const place = this.memory.locate(gpa);
      if (!place) continue;
      const page = this.pageAt(place.offset);
      this.words[page] = change(this.words[page] ?? 0);
    }
    if (gpas.length > 0) this.flush();
  }

  /** Gives the right to write that was withheld. */
  allowWithheld(gpa: bigint): void {
    const place = this.memory.locate(gpa);
    const page = this.pageAt(place?.offset ?? this.start);
    const word = this.words[page] ?? 0;
    if (place && (word & WITHHELD) !== 0) this.words[page] = (word & ~WITHHELD) | PageBit.WRITE;
  }

  /** Guest physical addresses of the pages that have their dirty flag set. */
  *dirtyPages(): Iterable<bigint> {
    for (const { gpa, length } of this.memory.regions)
      for (const page of this.pagesOf(gpa, BigInt(length))) {
        const word = this.words[page] ?? 0;
        if (isPresent(word) && (word & PageBit.DIRTY) !== 0) yield this.gpaOf(page);
      }
  }

  /** Splits what is larger than 4 KiB in a range. */
  splitAll(gpa: bigint, size: bigint): void {
    this.splitAt(gpa);
    this.splitAt(gpa + size);
    for (const [from, length] of this.ramWithin(gpa, size))
      for (let at = from; at < from + length; at += 0x1000n) {
        const leaf = this.lookUp(at);
        if (leaf.size > 0x1000n) this.splitLeaf(leaf, 0);
        at = leaf.gpa + leaf.size - 0x1000n;
      }
  }

  /** Makes an address the start of a page. */
  private splitAt(gpa: bigint): void {
    for (const sizeClass of [1, 0] as const) {
      const word = this.wordAt(gpa);
      if (word === undefined || sizeClassOf(word) <= sizeClass) continue;
      const leaf = this.lookUp(gpa);
      if (leaf.gpa !== gpa) this.splitLeaf(leaf, sizeClass);
    }
  }

  /** The parts of a page have what the whole had, its flags too. */
  private splitLeaf({ gpa, size, accessed, dirty }: SecondLevelPage, sizeClass: 0 | 1): void {
    const flags = (accessed ? PageBit.ACCESSED : 0) | (dirty ? PageBit.DIRTY : 0);
    for (const page of this.pagesOf(gpa, size)) this.words[page] = withSizeClass((this.words[page] ?? 0) | flags, sizeClass);
  }

  /** Makes large pages of those in a range that differ in nothing but their flags, where the memory is aligned. */
  enlarge(gpa: bigint, size: bigint): void {
    for (const sizeClass of [1, 2] as const) {
      const bytes = BigInt(LEAF_SIZES[sizeClass]);
      for (let at = (gpa + bytes - 1n) & -bytes; at + bytes <= gpa + size; at += bytes) this.enlargeBlock(at, sizeClass);
    }
  }

  private enlargeBlock(gpa: bigint, sizeClass: 1 | 2): void {
    const bytes = LEAF_SIZES[sizeClass];
    const place = this.memory.locate(gpa);
    if (!place || place.available < bytes || (place.offset - this.start) % bytes !== 0) return;
    const { words } = this;
    const first = this.pageAt(place.offset);
    const end = first + bytes / 0x1000;
    const like = words[first] ?? 0;
    if (sizeClassOf(like) !== sizeClass - 1) return;
    for (let page = first; page < end; page++) if ((((words[page] ?? 0) ^ like) & ~FLAGS) !== 0) return;
    for (let page = first; page < end; page++) words[page] = withSizeClass(words[page] ?? 0, sizeClass);
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
    for (const page of this.pagesOf(start, gpa + BigInt(length) - start)) {
      const word = this.words[page] ?? 0;
      if (lacksMemory(word)) this.words[page] = this.given(word);
    }
  }

  // --- pages ----------------------------------------------------------------------------------------------------------

  private pageAt(offset: number): number {
    return (offset - this.start) >>> 12;
  }

  /** The word of the page of RAM at an address. */
  wordAt(gpa: bigint): number | undefined {
    const place = this.memory.locate(gpa);
    return place && this.words[this.pageAt(place.offset)];
  }

  private gpaOf(page: number): bigint {
    const offset = this.start + page * 0x1000;
    const region = this.memory.regions.find((each) => offset >= each.offset && offset < each.offset + each.length);
    return region ? region.gpa + BigInt(offset - region.offset) : 0n;
  }

  /** The parts of a range that have RAM: their guest physical addresses and lengths. */
  private *ramWithin(gpa: bigint, size: bigint): Iterable<readonly [gpa: bigint, length: bigint]> {
    for (const region of this.memory.regions) {
      const from = region.gpa > gpa ? region.gpa : gpa;
      const regionEnd = region.gpa + BigInt(region.length);
      const to = regionEnd < gpa + size ? regionEnd : gpa + size;
      if (from < to) yield [from, to - from];
    }
  }

  /** Numbers of the pages of RAM that begin in a range. */
  *pagesOf(gpa: bigint, size: bigint): Iterable<number> {
    for (const [from, length] of this.ramWithin(gpa, size)) {
      const first = this.pageAt(this.memory.locate(from)?.offset ?? 0);
      const end = first + Number(length >> 12n) + ((length & 0xfffn) === 0n ? 0 : 1);
      for (let page = first; page < end; page++) yield page;
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
