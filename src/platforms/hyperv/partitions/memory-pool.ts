/** Pages that the hypervisor takes from a partition's pool for what it makes there. Real ones are its own secret; these are fixed. */
export const Price = {
  /** HvCallInitializePartition: its tables and message buffers. */
  PARTITION: 4,
  /** HvCallCreateVp: VMCS or VMCB, state and APIC pages. */
  VP: 2,
  /** A second-level table, which maps 512 pages. */
  TABLE: 1,
} as const;

/**
 * The pages that a partition's parent has deposited with the hypervisor for it (TLFS, "Memory pools"). The hypervisor alone uses them:
 * they have nothing in them when they come back.
 */
export class MemoryPool {
  /** Guest page numbers of the depositor. */
  private readonly pages: bigint[] = [];
  private used = 0;

  get available(): number {
    return this.pages.length - this.used;
  }
  get inUse(): number {
    return this.used;
  }

  deposit(page: bigint): void {
    this.pages.push(page);
  }

  /** The page that was deposited last, if all of those in use can stay; undefined otherwise. */
  withdraw(): bigint | undefined {
    return this.available > 0 ? this.pages.pop() : undefined;
  }

  /** Uses so many pages; false when there are not enough. */
  use(count: number): boolean {
    if (count > this.available) return false;
    this.used += count;
    return true;
  }

  release(count: number): void {
    this.used -= Math.min(count, this.used);
  }
}
