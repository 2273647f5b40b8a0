import type { InspectNode } from '../../../devices/inspect.ts';
import { GPA_BITS } from '../../../hypervisor/second-level/host-place.ts';
import type { Permissions } from '../../../hypervisor/second-level/page-word.ts';
import type { SecondLevelMap } from '../../../hypervisor/second-level/second-level-map.ts';
import type { CommonPage } from '../../../processor/memory/partition-memory.ts';
import { hex } from '../../../x86/address.ts';
import { SpareMemory } from './spare-memory.ts';

export const PAGE_BYTES = 0x1000;

/** A page of the hypervisor's own that it can lay over a page of guest physical memory (TLFS, "Overlay pages"). */
export interface OverlayPage {
  /** `hypercall page` … */
  readonly name: string;
  /** The guest may write to it. A write to another is #GP(0). */
  readonly writable: boolean;
  /** Page-aligned guest physical address where it lies, on top or under another one; undefined while it lies nowhere. */
  readonly gpa: bigint | undefined;
  /** Lays it over a page, on top of what lies there; moves it if it lies elsewhere. False where no page can be, and nothing has changed. */
  place(gpa: bigint): boolean;
  /** Takes it away: what it covered is to be seen again. What is in it stays in it. */
  remove(): void;
  /** Its bytes, whether it lies anywhere or not. */
  read(offset: number, length: number): Uint8Array;
  /** Writes to it as the hypervisor does, whether it lies anywhere or not. */
  write(offset: number, bytes: Uint8Array): void;
  /** Takes it away for ever. */
  discard(): void;
}

/** What an overlay page is made as. */
export interface OverlayOptions {
  readonly writable: boolean;
  /** What is in it, where other partitions have it, too. Their accesses are led there, without an exit that anybody sees. */
  readonly common?: CommonPage;
}

/** A page of guest physical memory with overlay pages on it. */
interface CoveredPage {
  /** From the lowest to the one that is to be seen. */
  readonly pages: Overlay[];
  /** What the guest's own page has in it; undefined where it has no RAM. */
  beneath: Uint8Array | undefined;
  readonly permissions: Permissions;
}

/** What the guest may do with an overlay page. */
const rightsOf = ({ writable }: OverlayPage): Permissions => ({ read: true, write: writable, execute: true });

class Overlay implements OverlayPage {
  gpa: bigint | undefined;
  /** What is in it while it isn't to be seen. */
  hidden = new Uint8Array(PAGE_BYTES);

  constructor(
    readonly name: string,
    readonly writable: boolean,
    readonly common: CommonPage | undefined,
    private readonly overlays: Overlays,
  ) {}

  place(gpa: bigint): boolean {
    return this.overlays.place(this, gpa);
  }
  remove(): void {
    this.overlays.remove(this);
  }
  read(offset: number, length: number): Uint8Array {
    checkPart(offset, length);
    if (this.common) return this.common.bytes.slice(offset, offset + length);
    const seen = this.overlays.contentsAt(this);
    return (seen ?? this.hidden).slice(offset, offset + length);
  }
  write(offset: number, bytes: Uint8Array): void {
    checkPart(offset, bytes.length);
    if (this.common) {
      this.common.bytes.set(bytes, offset);
      this.common.written();
    } else if (!this.overlays.writeSeen(this, offset, bytes)) this.hidden.set(bytes, offset);
  }
  discard(): void {
    this.overlays.discard(this);
  }
}

function checkPart(offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > PAGE_BYTES)
    throw new RangeError(`${length} bytes at ${offset} are not within a page of ${PAGE_BYTES}.`);
}

/**
 * The overlay pages of a partition. The one that is to be seen at an address is in the guest's RAM there, so that the guest reaches it
 * without an exit; what it covers is kept aside until it goes. Where the guest has no RAM, memory that is left over takes its place.
 */
export class Overlays {
  private readonly made: Overlay[] = [];
  private readonly covered = new Map<bigint, CoveredPage>();
  private readonly spare: SpareMemory;

  constructor(private readonly map: SecondLevelMap) {
    this.spare = new SpareMemory(map);
  }

  /** Makes an overlay page, full of zeroes, that lies nowhere yet. */
  make(name: string, { writable, common }: OverlayOptions): OverlayPage {
    const page = new Overlay(name, writable, common, this);
    this.made.push(page);
    return page;
  }

  discard(page: Overlay): void {
    this.remove(page);
    const index = this.made.indexOf(page);
    if (index >= 0) this.made.splice(index, 1);
  }

  /** The overlay page that is to be seen at an address. */
  at(gpa: bigint): OverlayPage | undefined {
    return this.covered.get(gpa & ~0xfffn)?.pages.at(-1);
  }

  /** After the partition's memory was cleared: all lie nowhere, with nothing in them. */
  reset(): void {
    for (const [gpa, { pages }] of this.covered) {
      if (pages.at(-1)?.common) this.map.memory.setLent(gpa, undefined);
      this.spare.giveBack(gpa);
    }
    this.covered.clear();
    for (const page of this.made) {
      page.gpa = undefined;
      page.hidden.fill(0);
    }
  }

  place(page: Overlay, gpa: bigint): boolean {
    if (page.gpa === gpa) return true;
    if ((gpa & 0xfffn) !== 0n || gpa < 0n || (gpa + BigInt(PAGE_BYTES)) >> GPA_BITS !== 0n) return false;
    const covered = this.covered.get(gpa) ?? this.cover(gpa);
    if (covered === undefined) return false;
    this.remove(page);
    const seen = covered.pages.at(-1);
    if (seen && !seen.common) seen.hidden = this.memoryAt(gpa);
    const wasCommon = seen?.common !== undefined;
    covered.pages.push(page);
    page.gpa = gpa;
    this.covered.set(gpa, covered);
    if (wasCommon) this.takeBack(gpa, covered);
    this.showPage(gpa, page, covered);
    return true;
  }

  remove(page: Overlay): void {
    const { gpa } = page;
    const covered = gpa === undefined ? undefined : this.covered.get(gpa);
    if (gpa === undefined || covered === undefined) return;
    const wasSeen = covered.pages.at(-1) === page;
    if (wasSeen && page.common) this.takeBack(gpa, covered);
    else if (wasSeen) page.hidden = this.memoryAt(gpa);
    covered.pages.splice(covered.pages.indexOf(page), 1);
    page.gpa = undefined;
    const next = covered.pages.at(-1);
    if (next) {
      if (wasSeen) this.showPage(gpa, next, covered);
      return;
    }
    this.covered.delete(gpa);
    if (covered.beneath) this.show(gpa, covered.beneath, covered.permissions);
    else this.spare.giveBack(gpa);
  }

  /** What is in a page that is to be seen; undefined for one that isn't. */
  contentsAt(page: Overlay): Uint8Array | undefined {
    return page.gpa !== undefined && this.at(page.gpa) === page ? this.memoryAt(page.gpa) : undefined;
  }

  /** Writes to a page that is to be seen; false for one that isn't. */
  writeSeen(page: Overlay, offset: number, bytes: Uint8Array): boolean {
    if (page.gpa === undefined || this.at(page.gpa) !== page) return false;
    this.map.memory.write(page.gpa + BigInt(offset), bytes);
    return true;
  }

  /** Keeps aside what an address has, or gives it memory. Undefined where there is none left. */
  private cover(gpa: bigint): CoveredPage | undefined {
    const { state, permissions, withheld } = this.map.lookUp(gpa);
    if (this.map.memory.locate(gpa) === undefined)
      return this.spare.lend(gpa) ? { pages: [], beneath: undefined, permissions } : undefined;
    // Nor over what is in another partition's memory.
    if (state === 'mmio' || state === 'misconfigured' || this.map.memory.lentAt(gpa)) return undefined;
    // A page without memory gets it, as when it is written to.
    if (state === 'paged-out') this.map.pageIn(gpa);
    else if (state !== 'present') this.map.deflate(gpa, BigInt(PAGE_BYTES));
    const { permissions: given } = state === 'present' ? { permissions } : this.map.lookUp(gpa);
    return { pages: [], beneath: this.memoryAt(gpa), permissions: { ...given, write: given.write || withheld } };
  }

  private memoryAt(gpa: bigint): Uint8Array<ArrayBuffer> {
    const page = new Uint8Array(PAGE_BYTES);
    page.set(this.map.memory.read(gpa, PAGE_BYTES));
    return page;
  }

  /** Has the guest see an overlay page. */
  private showPage(gpa: bigint, page: Overlay, { beneath }: CoveredPage): void {
    if (!page.common) {
      this.show(gpa, page.hidden, rightsOf(page));
      return;
    }
    // What it covers is in its place meanwhile: a parent that has mapped the page in the partition still reaches it.
    if (beneath) this.map.memory.write(gpa, beneath);
    this.map.takeAway(gpa, BigInt(PAGE_BYTES));
    this.map.memory.setLent(gpa, page.common);
  }

  /** A common page is to be seen no more: the guest's accesses reach memory of its own again. */
  private takeBack(gpa: bigint, covered: CoveredPage): void {
    this.map.memory.setLent(gpa, undefined);
    this.map.deflate(gpa, BigInt(PAGE_BYTES));
    if (covered.beneath) covered.beneath = this.memoryAt(gpa);
  }

  private show(gpa: bigint, contents: Uint8Array, permissions: Permissions): void {
    this.map.memory.write(gpa, contents);
    this.map.setPermissions(gpa, BigInt(PAGE_BYTES), permissions);
  }

  inspect(): InspectNode {
    const children = [...this.covered].map(([gpa, { pages, beneath }]): InspectNode => {
      const covers = [
        ...pages
          .slice(0, -1)
          .reverse()
          .map(({ name }) => name),
        beneath ? 'RAM' : 'no RAM',
      ];
      return {
        name: hex(gpa),
        value: pages.at(-1)?.name ?? '',
        detail: `over ${covers.join(', over ')}`,
        memory: { space: 'gpa', address: gpa },
      };
    });
    return { name: 'overlay pages', value: `${children.length}`, children };
  }
}
