import type { ExitDetail } from '../exit.ts';

/**
 * Bits of what the second level says of a page of 4 KiB: three rights, and two flags that the processor sets. EPT has the rights in
 * the same places (Intel SDM vol. 3, 29.3.2).
 */
export const PageBit = { READ: 1, WRITE: 2, EXECUTE: 4, ACCESSED: 8, DIRTY: 0x10 } as const;

/** What an access needs before nothing must be asked or done about it: rights, and flags that are set already. */
export const Need = {
  READ: PageBit.READ | PageBit.ACCESSED,
  WRITE: PageBit.WRITE | PageBit.ACCESSED | PageBit.DIRTY,
  EXECUTE: PageBit.EXECUTE | PageBit.ACCESSED,
  /** A walk through the guest's page tables where the second level has flags: it reads and writes them (Intel SDM vol. 3, 29.3.3.2). */
  WALK: PageBit.READ | PageBit.WRITE | PageBit.ACCESSED | PageBit.DIRTY,
} as const;

/** What a refused access was about. */
export interface RefusedAccess {
  readonly gpa: bigint;
  /** Rights and flags of {@link Need}. */
  readonly need: number;
  /** Linear address that led to it; undefined where there is none, as when the PDPTEs are loaded with CR3. */
  readonly gva: bigint | undefined;
  /** An entry of the guest's own page tables was read or written. */
  readonly duringWalk: boolean;
}

/**
 * Second-level translation of one partition as its vCPUs ask it: whether a page of guest physical memory may be accessed. It is
 * asked where translations are made, so what it grants costs nothing afterwards; whoever takes something back has all of them
 * dropped.
 */
export interface SecondLevel {
  /**
   * What the processor looks at before it asks: bits of {@link PageBit} for each page of 4 KiB of the memory, from an offset on. Where all
   * bits of a need are set, {@link grants} has nothing to do and would grant it.
   */
  readonly words: Uint16Array;
  readonly start: number;
  /** {@link Need} of a walk through the guest's page tables. */
  readonly walkNeeds: number;
  /** Whether RAM at a byte offset of the memory may be accessed so. Sets the flags of the access if it may. */
  grants(offset: number, need: number): boolean;
  /** Whether {@link grants} would grant it without setting a flag. */
  isSettled(offset: number, need: number): boolean;
  /**
   * What comes of an access that wasn't granted, or that goes where no RAM is: `device`, where devices answer, or the exit that it
   * leaves with.
   */
  refusal(access: RefusedAccess): ExitDetail | 'device';
  /** Grants an access that can't be refused any more, such as those of a task switch that is under way. */
  insist(offset: number, need: number): void;
  /** Whether devices answer at a guest physical address without RAM. */
  isDevice(gpa: number): boolean;
  /** Told of what goes where no RAM is and no device is asked: entries of page tables and instructions. */
  noteMissing(gpa: number, access: 'walk' | 'fetch'): void;
}
