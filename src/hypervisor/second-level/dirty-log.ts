import { PageBit } from '../../processor/memory/second-level.ts';
import { isPresent, WITHHELD } from './page-word.ts';
import type { SecondLevelMap } from './second-level-map.ts';

/**
 * How it is known which pages were written. `flags`: their dirty flags. `write-protection`: the first write to each leaves the guest.
 * `pml`: the processor writes their addresses down as it sets the flags (Intel SDM vol. 3, 29.3.6).
 */
export type DirtyLogMethod = 'flags' | 'write-protection' | 'pml';

/** Addresses that a page-modification log has room for. */
export const PML_ENTRIES = 512;

/**
 * The pages of a partition that were written since somebody asked last, by its vCPUs, by devices or by the hypervisor; not by the process
 * whose memory it is. Pages are of 4 KiB as long as it runs.
 */
export class DirtyLog {
  private running: DirtyLogMethod | undefined;
  /** Numbers of the pages that were written and not collected. */
  private pages = new Set<number>();
  /** Page-modification logs, one for each vCPU. */
  private buffers: number[][] = [];
  /** The vCPU that runs. */
  vcpu = 0;

  constructor(private readonly map: SecondLevelMap) {
    map.memory.onWrite((gpa, length, cause) => {
      if (this.running === undefined || cause !== 'other') return;
      const last = (gpa + BigInt(length) - 1n) >> 12n;
      for (let page = gpa >> 12n; page <= last; page++) this.pages.add(Number(page));
    });
  }

  /** How it runs; undefined when it doesn't. */
  get method(): DirtyLogMethod | undefined {
    return this.running;
  }

  /** Addresses in the page-modification log of a vCPU. */
  pending(vcpu: number): number {
    return this.buffers[vcpu]?.length ?? 0;
  }

  /** Starts with no page written, anew if it ran. Throws RangeError for a method that the processor hasn't. */
  start(method: DirtyLogMethod): void {
    const { map } = this;
    if (method === 'pml' && map.vendor === 'amd')
      throw new RangeError("AMD's processors have no page-modification log; log by flags or by write protection.");
    if (method !== 'write-protection' && !map.hasFlags)
      throw new RangeError('Second-level entries have no dirty flags here; log by write protection.');
    this.stop();
    this.running = method;
    map.withholds = method === 'write-protection';
    map.observeDirty((gpa, insists) => this.observe(gpa, insists));
    for (const { gpa, length } of map.memory.regions) {
      map.splitAll(gpa, BigInt(length));
      map.change(gpa, BigInt(length), (word) => this.fresh(word));
    }
  }

  /** Ends it. What wasn't collected is forgotten; pages are as large as they can be. */
  stop(): void {
    if (this.running === undefined) return;
    const { map } = this;
    this.forget();
    for (const { gpa, length } of map.memory.regions) {
      map.change(gpa, BigInt(length), (word) => (word & WITHHELD ? (word & ~WITHHELD) | PageBit.WRITE : word));
      map.enlarge(gpa, BigInt(length));
    }
  }

  /** Forgets that it ran: the map begins anew. */
  forget(): void {
    this.running = undefined;
    this.pages = new Set();
    this.buffers = [];
    this.map.withholds = false;
    this.map.observeDirty(undefined);
  }

  /** Guest physical addresses of the pages that were written since the last call, in order; the next call has none of them again. */
  collect(): readonly bigint[] {
    const { map, running } = this;
    if (running === undefined) return [];
    if (running === 'flags') for (const gpa of map.dirtyPages()) this.pages.add(Number(gpa >> 12n));
    for (const vcpu of this.buffers.keys()) this.drain(vcpu);
    const collected = [...this.pages].sort((a, b) => a - b).map((page) => BigInt(page) << 12n);
    this.pages = new Set();
    map.changePages(collected, (word) => this.fresh(word));
    return collected;
  }

  /** The first write to a page that is withheld was seen: it may be written from now on. */
  release(gpa: bigint): void {
    this.pages.add(Number(gpa >> 12n));
    this.map.allowWithheld(gpa);
  }

  /** Empties the page-modification log of a vCPU; gives the number of its addresses. */
  drain(vcpu: number): number {
    const buffer = this.buffers[vcpu] ?? [];
    for (const page of buffer) this.pages.add(page);
    this.buffers[vcpu] = [];
    return buffer.length;
  }

  /** A page that counts as not written. */
  private fresh(word: number): number {
    if (!isPresent(word)) return word;
    if (this.running === 'write-protection') return word & PageBit.WRITE ? (word & ~PageBit.WRITE) | WITHHELD : word;
    return word & ~PageBit.DIRTY;
  }

  /** A page gets its dirty flag, or is written although that is withheld. False when its address has no room. */
  private observe(gpa: bigint, insists: boolean): boolean {
    const page = Number(gpa >> 12n);
    if (insists) this.pages.add(page);
    else if (this.running === 'pml') {
      const buffer = this.buffers[this.vcpu] ?? [];
      this.buffers[this.vcpu] = buffer;
      if (buffer.length >= PML_ENTRIES) return false;
      buffer.push(page);
    }
    return true;
  }
}
