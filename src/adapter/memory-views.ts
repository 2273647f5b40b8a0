import type { Processor } from '../processor/processor.ts';
import { MASK_32, MASK_64, type MemoryPlace } from '../x86/address.ts';
import type { MemoryReference } from './references.ts';

/** A range of memory as a client named it: the body of a `memory` event. */
export interface MemoryRange {
  readonly memoryReference: string;
  readonly offset: number;
  readonly count: number;
}

interface View {
  readonly range: MemoryRange;
  readonly place: MemoryReference;
  bytes: Uint8Array;
}

/** What is read in larger pieces is saved, not looked at. */
const LARGEST_VIEW = 64 * 1024;
/** Bytes of all views: reading them again takes less than a millisecond. */
const MOST_BYTES = 256 * 1024;
const EFER_LMA = 1n << 10n;

type MemoryOf = Pick<Processor, 'state' | 'readMemory'>;

/**
 * Reads what lies `offset` bytes from a place. Unlike the processor's accesses this doesn't wrap: what is in front of the first
 * address of the space or behind its last can't be read.
 */
export function readFrom(processor: MemoryOf, { space, address }: MemoryPlace, offset: number, count: number): Uint8Array {
  const last = space === 'gpa' || (processor.state.efer & EFER_LMA) !== 0n ? MASK_64 : MASK_32;
  const start = address + BigInt(offset);
  if (start < 0n || start > last) return new Uint8Array();
  const left = last - start + 1n;
  return processor.readMemory(space, start, left < BigInt(count) ? Number(left) : count);
}

/**
 * What a client has read of the guest's memory lately, so that it can be told what has changed there. A client knows a `memory`
 * event for one of its views by the text of the reference, so that is what views are kept by.
 */
export class MemoryViews {
  /** In the order of their last reading. */
  private readonly views = new Map<string, View>();
  private size = 0;

  /** Remembers what a client was given. */
  shown(range: MemoryRange, place: MemoryReference, bytes: Uint8Array): void {
    if (range.count === 0 || range.count > LARGEST_VIEW) return;
    const key = `${range.memoryReference} ${range.offset} ${range.count}`;
    this.forget(key);
    this.views.set(key, { range, place, bytes });
    this.size += range.count;
    for (const oldest of this.views.keys()) {
      if (this.size <= MOST_BYTES) break;
      this.forget(oldest);
    }
  }

  private forget(key: string): void {
    this.size -= this.views.get(key)?.range.count ?? 0;
    this.views.delete(key);
  }

  /** The parts of views that aren't any more what was last shown or told; without what the client is told of anyway. */
  changes(processorOf: (guest: number) => MemoryOf | undefined, told: readonly MemoryRange[] = []): MemoryRange[] {
    const changes: MemoryRange[] = [];
    for (const view of this.views.values()) {
      const { memoryReference, offset, count } = view.range;
      const processor = processorOf(view.place.guest ?? 0);
      if (!processor) continue;
      const bytes = readFrom(processor, view.place, offset, count);
      const [first, end] = differing(view.bytes, bytes);
      if (first === end) continue;
      view.bytes = bytes;
      const change = { memoryReference, offset: offset + first, count: end - first };
      if (!told.some((range) => isWithin(change, range))) changes.push(change);
    }
    return changes;
  }
}

/** The range in which two byte strings differ: `[0, 0]` where they are the same. */
function differing(before: Uint8Array, after: Uint8Array): readonly [first: number, end: number] {
  const longest = Math.max(before.length, after.length);
  let first = 0;
  while (first < longest && before[first] === after[first]) first++;
  if (first === longest) return [0, 0];
  let end = longest;
  while (before[end - 1] === after[end - 1]) end--;
  return [first, end];
}

function isWithin({ memoryReference, offset, count }: MemoryRange, outer: MemoryRange): boolean {
  return memoryReference === outer.memoryReference && offset >= outer.offset && offset + count <= outer.offset + outer.count;
}
