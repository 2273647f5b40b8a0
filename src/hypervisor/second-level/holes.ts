import type { PageState } from './page-word.ts';

/** What is where no RAM is, if it isn't the usual. */
interface Hole {
  readonly gpa: bigint;
  readonly end: bigint;
  readonly state: Exclude<PageState, 'present' | 'ballooned' | 'paged-out'>;
}

/** Guest physical addresses without RAM: devices answer there, unless it is said otherwise. */
export class Holes {
  /** The last one that has an address counts. */
  private ranges: Hole[] = [];

  set(gpa: bigint, size: bigint, state: Hole['state']): void {
    const end = gpa + size;
    // What is covered by the new one is forgotten, so that settings made again and again take no room.
    this.ranges = this.ranges.filter((range) => range.gpa < gpa || range.end > end);
    this.ranges.push({ gpa, end, state });
  }

  /** Whether anything is unusual. */
  get areSet(): boolean {
    return this.ranges.length > 0;
  }

  stateAt(gpa: bigint): Hole['state'] {
    let state: Hole['state'] = 'mmio';
    for (const range of this.ranges) if (gpa >= range.gpa && gpa < range.end) state = range.state;
    return state;
  }

  /** Whether a block has anything else than devices. */
  hasOther(gpa: bigint, size: bigint): boolean {
    return this.ranges.some((range) => range.state !== 'mmio' && range.gpa < gpa + size && gpa < range.end);
  }

  clear(): void {
    this.ranges = [];
  }
}
