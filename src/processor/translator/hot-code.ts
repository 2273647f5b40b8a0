import type { CodeSource } from '../decoder/code-cache.ts';
import { type Decoded, decode } from '../decoder/decode.ts';
import { GuestFault, Vector } from '../faults/guest-fault.ts';
import type { PartitionMemory } from '../memory/partition-memory.ts';
import type { HotCode, RegionPage } from './translator.ts';

/** What is known of a block that has been run. */
export interface RunBlock {
  readonly key: string;
  /** Guest physical address of its first byte. */
  readonly gpa: bigint;
  /** Times that it may still be jumped to before it is hot. */
  readonly heat: number;
}

/** Blocks that have been run, as the code cache has them. */
export interface RunBlocks {
  /** The key of a block at an offset in CS, which lies at a guest physical address. */
  keyOf(rip: bigint, gpa: bigint): string;
  has(key: string): boolean;
  /** Those with bytes in a guest physical page, by its number. */
  inPage(page: bigint): Iterable<RunBlock>;
  /** How often a place in a guest physical page is jumped to until it is hot. */
  patience(gpa: bigint): number;
}

/** Jumps to a place that make it worth translating with the code that jumps to computed places. */
const WARM = 16;

/** Code outside of a page is not looked at: fetching it could have effects. */
const outside = (): never => {
  throw new GuestFault(Vector.PF, 0);
};

/**
 * The code around an offset in CS, as far as it can be fetched now without any effect: no fault, no accessed bit to be set.
 * Undefined when not even the code there can.
 */
export function viewHotCode(entry: bigint, source: CodeSource, memory: PartitionMemory, blocks: RunBlocks): HotCode | undefined {
  const entryGpa = source.peekFetch(entry);
  if (entryGpa === undefined) return undefined;
  const pages: RegionPage[] = [{ rip: entry, gpa: entryGpa }];
  const find = (rip: bigint): bigint | undefined => {
    // Offsets in one linear page are in one physical page too.
    for (const page of pages) {
      const gpa = page.gpa + (rip - page.rip);
      if (gpa >> 12n === page.gpa >> 12n) return gpa;
    }
    const gpa = source.peekFetch(rip);
    if (gpa !== undefined) pages.push({ rip, gpa });
    return gpa;
  };
  const decodeAt = (rip: bigint): Decoded | undefined => {
    const gpa = find(rip);
    const place = gpa === undefined ? undefined : memory.locate(gpa);
    if (gpa === undefined || !place || source.breaksAt(rip)) return undefined;
    const room = Math.min(0x1000 - Number(gpa & 0xfffn), source.codeRoom(rip));
    try {
      const decoded = decode({ bytes: memory.bytes, at: place.offset, room, byteAt: outside }, rip, source.decodeMode);
      const { semantics, interpreted } = decoded.form.definition;
      return semantics && !interpreted && decoded.request.rep === 'none' ? decoded : undefined;
    } catch (error) {
      if (error instanceof GuestFault) return undefined;
      throw error;
    }
  };
  const warmTargets = function* (rip: bigint): Iterable<bigint> {
    const gpa = find(rip) ?? entryGpa;
    const enough = blocks.patience(gpa) - WARM;
    for (const block of blocks.inPage(gpa >> 12n)) {
      const place = rip + (block.gpa - gpa);
      if (block.heat <= enough && block.gpa >> 12n === gpa >> 12n && block.key === blocks.keyOf(place, block.gpa)) yield place;
    }
  };
  return {
    mode: source.regionMode,
    pages,
    decode: decodeAt,
    wasRun: (rip) => {
      const gpa = find(rip);
      return gpa !== undefined && blocks.has(blocks.keyOf(rip, gpa));
    },
    warmTargets,
    advance: (rip, bytes) => source.advance(rip, bytes),
    key: (rip) => blocks.keyOf(rip, find(rip) ?? 0n),
    gpa: (rip) => find(rip) ?? 0n,
  };
}
