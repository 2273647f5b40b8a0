import { ExitEntry, icountOf, instructionsBetween } from './exit-entry.ts';
import { FACETS, type Facet, type FacetName, facetByName } from './exit-facets.ts';
import type { ExitFilter } from './exit-filter.ts';
import type { ExitRecord } from './exit-journal.ts';
import { type ExitKind, ExitKinds } from './exit-kinds.ts';
import { reasonNumber } from './reason-numbers.ts';

/** Values of a facet that are told apart; what comes later is counted together. */
const MOST_VALUES = 10_000;
/** vCPUs of a partition, at most. */
const MOST_VCPUS = 4096;
/** Instructions by vCPU. */
type Instructions = Float64Array<ArrayBufferLike>;
/** The value that stands for all that are not told apart. */
export const OTHERS = 'others';

/** Classes of distances: 0, 1, 2–3, 4–7 … 2^30 and more. */
export const DISTANCE_CLASSES = 32;

/** How often something was, when, and after how many instructions. */
interface Counts {
  count: number;
  /** Instructions that its vCPU had retired at the first and the last one: exact up to 2^53. */
  first: number;
  last: number;
  /** Which of all exits that were counted the first and the last one were. */
  firstAt: number;
  lastAt: number;
  /**
   * Instructions that the guest ran between them and the exits before them, of the same vCPU: how many are known, their sum, and how
   * many were in each class.
   */
  measured: number;
  instructions: number;
  readonly distances: Uint32Array;
}

/** What is known of the exits with one value of a facet. */
export interface ExitGroup extends Counts {
  readonly value: string;
  /** The request of the first one. */
  example: string;
}

interface CountedKind extends ExitKind, Counts {}

function noCounts(): Counts {
  const distances = new Uint32Array(DISTANCE_CLASSES);
  return { count: 0, first: 0, last: 0, firstAt: 0, lastAt: 0, measured: 0, instructions: 0, distances };
}

/** One exit more. `at`: its number among all that are counted. `distance`: below 0 where it isn't known. */
function countOne(counts: Counts, at: number, icount: number, distance: number): void {
  if (counts.count === 0) {
    counts.first = icount;
    counts.firstAt = at;
  }
  counts.count++;
  counts.last = icount;
  counts.lastAt = at;
  if (distance < 0) return;
  counts.measured++;
  counts.instructions += distance;
  const index = distanceClass(distance);
  counts.distances[index] = (counts.distances[index] ?? 0) + 1;
}

/** The class of a number of instructions: how many bits it has. */
export function distanceClass(instructions: number): number {
  return instructions >= 2 ** 30 ? DISTANCE_CLASSES - 1 : 32 - Math.clz32(instructions);
}

/** Groups as one list: those of one value become one. The most frequent first. */
export function mergeGroups(groups: Iterable<Readonly<ExitGroup>>): readonly ExitGroup[] {
  const merged = new Map<string, ExitGroup>();
  for (const group of groups) {
    const sum = merged.get(group.value);
    if (!sum) merged.set(group.value, { ...group, distances: group.distances.slice() });
    else add(sum, group);
  }
  return [...merged.values()].sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
}

function add(
  sum: ExitGroup,
  { count, first, last, firstAt, lastAt, measured, instructions, distances, example }: ExitGroup,
): void {
  if (firstAt < sum.firstAt) Object.assign(sum, { first, firstAt, example });
  if (lastAt > sum.lastAt) Object.assign(sum, { last, lastAt });
  sum.count += count;
  sum.measured += measured;
  sum.instructions += instructions;
  for (const [index, number] of distances.entries()) sum.distances[index] = (sum.distances[index] ?? 0) + number;
}

/**
 * Counts exits by their facets: how often each value, from when to when, and after how many instructions of the guest. It takes
 * memory by the values, never by the exits.
 *
 * Exits of a running partition are counted by their kinds, a fraction of a microsecond each, and the kinds by their facets when
 * somebody asks. What has no kind, such as a record from a file, is counted by each facet at once.
 */
export class ExitStatistics {
  private readonly kinds = new ExitKinds<CountedKind>((sample) => ({ sample, ...noCounts() }));
  /** Kinds of other statistics that this one is a part of. */
  private chosen: readonly CountedKind[] = [];
  private readonly groups = new Map<FacetName, Map<string, ExitGroup>>();
  /** Instructions at the last exit of each vCPU, by partition; below 0 where none is known. */
  private readonly last = new Map<number, Instructions>();
  /** Those of the partition whose exit came last: mostly the only one. */
  private partition = -1;
  private lastOfPartition: Instructions = new Float64Array(0);
  private counted = 0;
  /** Those that have no kind. */
  private withoutKind = 0;
  /** Whether the first exit that comes of a vCPU is its first one. */
  private isWhole = true;

  /** `filter`: which exits are counted. The others must be given too: distances are from exit to exit, whatever is counted. */
  constructor(
    private readonly facets: readonly Facet[] = FACETS,
    private readonly filter?: ExitFilter,
  ) {
    this.clear();
  }

  /** Exits that were counted. */
  get total(): number {
    return this.counted;
  }

  add(record: ExitRecord): void {
    const icount = icountOf(record);
    if (record instanceof ExitEntry) {
      const { rip } = record.exit;
      this.addEntry(record, reasonNumber(record.reason), icount, Number(rip & 0xffff_ffffn), Number(rip >> 32n));
    } else this.addRecord(record, icount);
  }

  /**
   * Counts an exit of a running partition: it is done at every one while a view counts. `reason`: the number of its reason; `icount`:
   * instructions that its vCPU had retired; `ripLow`, `ripHigh`: the halves of its RIP.
   */
  addEntry(entry: ExitEntry, reason: number, icount: number, ripLow: number, ripHigh: number): void {
    const kind = this.filter ? undefined : this.kinds.of(entry, reason, ripLow, ripHigh);
    if (kind) countOne(kind, this.counted++, icount, this.measure(entry.partition, entry.vcpu, icount));
    else this.addRecord(entry, icount);
  }

  private addRecord(record: ExitRecord, icount: number): void {
    const distance = this.measure(record.partition, record.vcpu, icount);
    if (this.filter?.(record) === false) return;
    this.addByFacets(record, this.counted++, icount, distance);
  }

  private addByFacets(record: ExitRecord, at: number, icount: number, distance: number): void {
    this.withoutKind++;
    for (const { name, of } of this.facets) {
      const value = of(record);
      if (value !== undefined) countOne(this.group(name, value, record), at, icount, distance);
    }
  }

  /** Instructions since the exit before; below 0 where that one isn't known. */
  private measure(partition: number, vcpu: number, icount: number): number {
    if (partition !== this.partition || vcpu >= this.lastOfPartition.length) {
      // A file can say anything.
      if (vcpu < 0 || vcpu >= MOST_VCPUS) return -1;
      this.lookAt(partition, vcpu);
    }
    const last = this.lastOfPartition;
    const before = last[vcpu] ?? -1;
    last[vcpu] = icount;
    return before < 0 ? -1 : instructionsBetween(before, icount);
  }

  /** Has room for the vCPUs of a partition up to this one. Where nothing is missing, a vCPU's first exit is counted from 0. */
  private lookAt(partition: number, vcpu: number): void {
    const known = this.last.get(partition) ?? new Float64Array(0);
    let last: Instructions = known;
    if (vcpu >= known.length) {
      last = new Float64Array(vcpu + 1).fill(this.isWhole ? 0 : -1);
      last.set(known);
      this.last.set(partition, last);
    }
    this.partition = partition;
    this.lastOfPartition = last;
  }

  private group(name: FacetName, value: string, record: ExitRecord): ExitGroup {
    const values = this.groups.get(name) ?? new Map<string, ExitGroup>();
    const key = values.has(value) || values.size < MOST_VALUES ? value : OTHERS;
    let group = values.get(key);
    if (!group) {
      group = { value: key, example: record.request, ...noCounts() };
      values.set(key, group);
    }
    return group;
  }

  /** The groups of a facet, the most frequent first. */
  by(name: FacetName): readonly ExitGroup[] {
    return mergeGroups(this.groupsOf(name));
  }

  private *groupsOf(name: FacetName): Generator<ExitGroup, void> {
    yield* this.groups.get(name)?.values() ?? [];
    const of = facetByName(name)?.of;
    for (const kinds of [this.kinds, this.chosen])
      for (const { sample, ...counts } of kinds) {
        const value = of?.(sample);
        if (value !== undefined) yield { ...counts, value, example: sample.request };
      }
  }

  /**
   * The counts of those that pass a filter, from the first one on; undefined where what was counted can't tell, because the filter
   * looks into what kinds don't have, or there are exits without a kind.
   */
  part(filter: ExitFilter): ExitStatistics | undefined {
    if (filter.byFacets !== true || this.withoutKind > 0) return undefined;
    const part = new ExitStatistics(this.facets);
    part.chosen = [...this.kinds].filter(({ sample }) => filter(sample));
    part.counted = part.chosen.reduce((sum, { count }) => sum + count, 0);
    return part;
  }

  /** Begins anew. `isWhole`: exits come from a vCPU's first one on; otherwise nobody knows what was before the first that comes. */
  clear(isWhole = true): void {
    this.counted = 0;
    this.withoutKind = 0;
    this.isWhole = isWhole;
    this.last.clear();
    this.partition = -1;
    this.lastOfPartition = new Float64Array(0);
    this.kinds.clear();
    this.chosen = [];
    for (const { name } of this.facets) this.groups.set(name, new Map());
  }
}
