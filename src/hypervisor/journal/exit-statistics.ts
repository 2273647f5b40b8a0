import { FACETS, type Facet, type FacetName } from './exit-facets.ts';
import type { ExitFilter } from './exit-filter.ts';
import type { ExitRecord } from './exit-journal.ts';

/** Values of a facet that are told apart; what comes later is counted together. */
const MOST_VALUES = 10_000;
/** The value that stands for all that are not told apart. */
export const OTHERS = 'others';

/** Classes of distances: 0, 1, 2–3, 4–7 … 2^30 and more. */
export const DISTANCE_CLASSES = 32;

/** What is known of the exits with one value of a facet. */
export interface ExitGroup {
  readonly value: string;
  count: number;
  /** The request of the first one. */
  readonly example: string;
  /** Instructions that its vCPU had retired at the first and the last one. */
  readonly first: bigint;
  last: bigint;
  /**
   * Instructions that the guest ran between them and the exits before them, of the same vCPU: how many are known, their sum, and how
   * many were in each class.
   */
  measured: number;
  instructions: bigint;
  readonly distances: Uint32Array;
}

/** The class of a number of instructions: how many bits it has. */
export function distanceClass(instructions: bigint): number {
  return instructions >= 1n << 30n ? DISTANCE_CLASSES - 1 : 32 - Math.clz32(Number(instructions));
}

/** Groups of several statistics as one list: those of one value become one. The most frequent first. */
export function mergeGroups(groups: readonly ExitGroup[]): readonly ExitGroup[] {
  const merged = new Map<string, ExitGroup>();
  for (const group of groups) {
    const sum = merged.get(group.value);
    if (!sum) merged.set(group.value, { ...group, distances: group.distances.slice() });
    else {
      sum.count += group.count;
      sum.last = group.last;
      sum.measured += group.measured;
      sum.instructions += group.instructions;
      for (const [index, number] of group.distances.entries()) sum.distances[index] = (sum.distances[index] ?? 0) + number;
    }
  }
  return [...merged.values()].sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
}

/**
 * Counts exits by their facets: how often each value, from when to when, and after how many instructions of the guest. It takes
 * memory by the values, never by the exits.
 */
export class ExitStatistics {
  private readonly groups = new Map<FacetName, Map<string, ExitGroup>>();
  /** Instructions at the last exit, by partition and vCPU. */
  private readonly last = new Map<string, bigint>();
  private counted = 0;
  /** Whether the first exit that comes of a vCPU is its first one. */
  private isWhole = true;

  /** `filter`: which exits are counted. The others must be given too: distances are from exit to exit, whatever is counted. */
  constructor(
    private readonly facets: readonly Facet[] = FACETS,
    private readonly filter: ExitFilter = () => true,
  ) {
    this.clear();
  }

  /** Exits that were counted. */
  get total(): number {
    return this.counted;
  }

  add(record: ExitRecord): void {
    const icount = BigInt(record.icount);
    const distance = this.measure(`${record.partition}.${record.vcpu}`, icount);
    if (!this.filter(record)) return;
    this.counted++;
    for (const { name, of } of this.facets) {
      const value = of(record);
      if (value === undefined) continue;
      const group = this.group(name, value, record, icount);
      group.count++;
      group.last = icount;
      if (distance === undefined) continue;
      group.measured++;
      group.instructions += distance;
      const index = distanceClass(distance);
      group.distances[index] = (group.distances[index] ?? 0) + 1;
    }
  }

  /** Instructions since the exit before; undefined where that one isn't known. */
  private measure(vcpu: string, icount: bigint): bigint | undefined {
    const before = this.last.get(vcpu) ?? (this.isWhole ? 0n : undefined);
    this.last.set(vcpu, icount);
    if (before === undefined) return undefined;
    // A machine that is reset counts from 0 again.
    return icount < before ? icount : icount - before;
  }

  private group(name: FacetName, value: string, record: ExitRecord, icount: bigint): ExitGroup {
    const values = this.groups.get(name) ?? new Map<string, ExitGroup>();
    const key = values.has(value) || values.size < MOST_VALUES ? value : OTHERS;
    let group = values.get(key);
    if (!group) {
      group = {
        value: key,
        count: 0,
        example: record.request,
        first: icount,
        last: icount,
        measured: 0,
        instructions: 0n,
        distances: new Uint32Array(DISTANCE_CLASSES),
      };
      values.set(key, group);
    }
    return group;
  }

  /** The groups of a facet, the most frequent first. */
  by(name: FacetName): readonly ExitGroup[] {
    const groups = [...(this.groups.get(name)?.values() ?? [])];
    return groups.sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
  }

  /** Begins anew. `isWhole`: exits come from a vCPU's first one on; otherwise nobody knows what was before the first that comes. */
  clear(isWhole = true): void {
    this.counted = 0;
    this.isWhole = isWhole;
    this.last.clear();
    for (const { name } of this.facets) this.groups.set(name, new Map());
  }
}
