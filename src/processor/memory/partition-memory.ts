import { VCPU_SIZE } from '../state/layout.ts';
import type { SecondLevel } from './second-level.ts';

const PAGE = 0x1_0000;
const GUEST_PAGE = 4096;
const LARGE_PAGE = 0x20_0000;

/** A range of guest physical addresses that is backed by RAM. Page-aligned. */
export interface RamRegion {
  readonly gpa: bigint;
  readonly length: number;
}

/** A region with its byte offset in the memory. */
export type PlacedRegion = RamRegion & { readonly offset: number };

/**
 * Puts the regions behind the vCPUs' blocks, one after the other. Small holes keep their size, so that what lies in one large page of
 * guest physical memory lies together here too. The first 64 KiB stay empty: a stray zero offset of generated code meets nothing.
 */
function placeRegions(ram: readonly RamRegion[], vcpuBytes: number): readonly PlacedRegion[] {
  let offset = PAGE + vcpuBytes;
  let end: bigint | undefined;
  return ram.map((region) => {
    const hole = end === undefined ? 0 : Number(region.gpa - end);
    if (hole > 0 && hole < LARGE_PAGE) offset += hole;
    const placed = { ...region, offset };
    offset += region.length;
    end = region.gpa + BigInt(region.length);
    return placed;
  });
}

/**
 * A page walk sets accessed and dirty bits; `owner` is whoever the memory is of, a process that keeps no log of its own writes; all else is
 * `other`.
 */
export type WriteCause = 'walk' | 'owner' | 'other';

/** Where a page that is lent to another partition is: a page of its memory. */
export interface LentPage {
  readonly memory: PartitionMemory;
  readonly gpa: bigint;
}

/** A page of the hypervisor's own that several partitions have in their memory. */
export interface CommonPage {
  /** 4096 bytes. */
  readonly bytes: Uint8Array;
  /** Somebody has written to it. */
  written(): void;
}

/** Told of every write that did not come from the guest's own instructions. */
export type WriteListener = (gpa: bigint, length: number, cause: WriteCause) => void;

/**
 * The memory of one partition: one WebAssembly memory that holds the vCPUs' state blocks and then the guest's RAM. Between
 * the RAM regions are holes, where devices answer.
 */
export class PartitionMemory {
  readonly wasm: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private placed: readonly PlacedRegion[];
  /** Where the regions start, as numbers. */
  private starts: readonly number[];
  private readonly listeners: WriteListener[] = [];
  /** Pages whose contents are in another partition's memory or in none, by their numbers. */
  private readonly lent = new Map<bigint, LentPage | CommonPage>();

  /** Second-level translation; without one all RAM may be accessed in all ways. */
  secondLevel: SecondLevel | undefined;

  /** Bytes that the memory of a partition takes in all. */
  static bytesFor(ram: readonly RamRegion[], vcpuCount: number, vcpuSize = VCPU_SIZE): number {
    const last = placeRegions(ram, vcpuCount * vcpuSize).at(-1);
    const bytes = last ? last.offset + last.length : PAGE + vcpuCount * vcpuSize;
    return Math.ceil(bytes / PAGE) * PAGE;
  }

  /**
   * Each vCPU has `vcpuSize` bytes, a multiple of 64 KiB. `used` is a memory of the right size with nothing but zeros, if there is one.
   * Throws a plain sentence when the sizes are not possible (4 GiB in all, page-aligned regions).
   */
  constructor(
    ram: readonly RamRegion[],
    readonly vcpuCount: number,
    readonly vcpuSize = VCPU_SIZE,
    used?: WebAssembly.Memory,
  ) {
    for (const region of ram)
      if (region.length % GUEST_PAGE !== 0 || region.gpa % BigInt(GUEST_PAGE) !== 0n || region.length <= 0)
        throw new Error(`RAM at ${region.gpa.toString(16)} of ${region.length} bytes is not made of whole 4 KiB pages.`);
    const pages = PartitionMemory.bytesFor(ram, vcpuCount, vcpuSize) / PAGE;
    if (pages > 0xffff)
      throw new Error(`A partition's RAM and processors must fit into 4 GiB; ${pages * PAGE} bytes were asked for.`);
    this.wasm = used ?? new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.bytes = new Uint8Array(this.wasm.buffer);
    this.view = new DataView(this.wasm.buffer);
    this.placed = placeRegions(ram, vcpuCount * vcpuSize);
    this.starts = this.placed.map(({ gpa }) => Number(gpa));
  }

  get regions(): readonly PlacedRegion[] {
    return this.placed;
  }

  /**
   * Has other parts of the memory be RAM of the guest, at other addresses. No two regions have a byte or an address in common, and all lie
   * within the first ones. Whoever calls this has translations and decoded code dropped.
   */
  placeAnew(regions: readonly PlacedRegion[]): void {
    this.placed = [...regions].sort((a, b) => (a.gpa < b.gpa ? -1 : 1));
    this.starts = this.placed.map(({ gpa }) => Number(gpa));
  }

  /** Byte offset of a vCPU's state block in `wasm`. */
  vcpuBase(index: number): number {
    return PAGE + index * this.vcpuSize;
  }

  /** Byte offset in `wasm` of a guest physical address, and how many bytes of RAM follow it there; undefined in a hole. */
  locate(gpa: bigint): { offset: number; available: number } | undefined {
    // A memory that was taken back has nothing any more.
    if (this.bytes.length === 0) return undefined;
    for (const region of this.regions) {
      if (gpa < region.gpa) continue;
      const distance = gpa - region.gpa;
      if (distance < BigInt(region.length)) {
        const at = Number(distance);
        return { offset: region.offset + at, available: region.length - at };
      }
    }
    return undefined;
  }

  /** The same for an address as a number (at most 52 bits): 0 in a hole. What lies in one page is in one region. */
  offsetOf(gpa: number): number {
    const { placed, starts } = this;
    for (let index = 0; index < placed.length; index++) {
      const distance = gpa - (starts[index] ?? 0);
      const region = placed[index];
      if (region && distance >= 0 && distance < region.length) return region.offset + distance;
    }
    return 0;
  }

  /** Copies up to `length` bytes out; stops at the first byte without RAM. */
  read(gpa: bigint, length: number): Uint8Array {
    return this.lent.size === 0 ? this.readOwn(gpa, length) : this.readByPages(gpa, length);
  }

  private readOwn(gpa: bigint, length: number): Uint8Array {
    const parts = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const place = this.locate(gpa + BigInt(done));
      if (!place) break;
      const count = Math.min(length - done, place.available);
      parts.set(this.bytes.subarray(place.offset, place.offset + count), done);
      done += count;
    }
    return parts.subarray(0, done);
  }

  /** Writes as a device or the debugger does, or as its owner; returns how many bytes had RAM to go to. */
  write(gpa: bigint, data: Uint8Array, cause: WriteCause = 'other'): number {
    return this.lent.size === 0 ? this.writeOwn(gpa, data, cause) : this.writeByPages(gpa, data, cause);
  }

  private writeOwn(gpa: bigint, data: Uint8Array, cause: WriteCause): number {
    let done = 0;
    while (done < data.length) {
      const place = this.locate(gpa + BigInt(done));
      if (!place) break;
      const count = Math.min(data.length - done, place.available);
      this.bytes.set(data.subarray(done, done + count), place.offset);
      done += count;
    }
    if (done > 0) this.notifyWrite(gpa, done, cause);
    return done;
  }

  // --- pages of others ------------------------------------------------------------------------------------------------

  /**
   * Has a page's contents be in another partition's memory, in a common page, or here again. `read` and `write` find them there; keeping the guest's own
   * accesses from what is left here is the second level's business.
   */
  setLent(gpa: bigint, place: LentPage | CommonPage | undefined): void {
    if (place) this.lent.set(gpa >> 12n, place);
    else this.lent.delete(gpa >> 12n);
  }

  /** Where the contents of the page of an address are, if not here. */
  lentAt(gpa: bigint): LentPage | CommonPage | undefined {
    return this.lent.size === 0 ? undefined : this.lent.get(gpa >> 12n);
  }

  private readByPages(gpa: bigint, length: number): Uint8Array {
    const parts = new Uint8Array(length);
    let done = 0;
    for (const { at, count, lent } of this.pieces(gpa, length)) {
      const part = lent ? this.readLent(lent, at & 0xfffn, count) : this.readOwn(at, count);
      parts.set(part, done);
      done += part.length;
      if (part.length < count) break;
    }
    return parts.subarray(0, done);
  }

  private writeByPages(gpa: bigint, data: Uint8Array, cause: WriteCause): number {
    let done = 0;
    for (const { at, count, lent } of this.pieces(gpa, data.length)) {
      const part = data.subarray(done, done + count);
      const written = lent ? this.writeLent(lent, at & 0xfffn, part, cause) : this.writeOwn(at, part, cause);
      done += written;
      if (written < count) break;
    }
    return done;
  }

  private readLent(lent: LentPage | CommonPage, offset: bigint, length: number): Uint8Array {
    if ('memory' in lent) return lent.memory.readOwn(lent.gpa + offset, length);
    return lent.bytes.subarray(Number(offset), Number(offset) + length);
  }

  private writeLent(lent: LentPage | CommonPage, offset: bigint, data: Uint8Array, cause: WriteCause): number {
    if ('memory' in lent) return lent.memory.writeOwn(lent.gpa + offset, data, cause);
    lent.bytes.set(data, Number(offset));
    lent.written();
    return data.length;
  }

  /** A range in parts of a page each. */
  private *pieces(gpa: bigint, length: number): Iterable<{ at: bigint; count: number; lent: LentPage | CommonPage | undefined }> {
    for (let done = 0; done < length; ) {
      const at = gpa + BigInt(done);
      const count = Math.min(length - done, GUEST_PAGE - Number(at & 0xfffn));
      yield { at, count, lent: this.lent.get(at >> 12n) };
      done += count;
    }
  }

  /** Calls back after each {@link write} and each {@link notifyWrite}. */
  onWrite(listener: WriteListener): void {
    this.listeners.push(listener);
  }

  /** Says that RAM changed without {@link write}. */
  notifyWrite(gpa: bigint, length: number, cause: WriteCause = 'other'): void {
    for (const listener of this.listeners) listener(gpa, length, cause);
  }
}
