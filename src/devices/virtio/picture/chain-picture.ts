import { DmaError } from '../../dma.ts';
import type { Descriptor, SeeDescriptor } from '../queue/descriptor.ts';
import { QueueError } from '../queue/queue-error.ts';

/** How far a buffer is on its way: the device hasn't seen it, works on it, or has given it back. */
export type BufferState = 'waiting' | 'taken' | 'used';

/** A descriptor that a chain leads to. */
export interface ChainLink extends Descriptor {
  /** Its place in the ring or, where it is indirect, in the table that an earlier one names. */
  readonly index: number;
  readonly isIndirect: boolean;
  readonly problem?: string;
}

/** A buffer of the driver. */
export interface ChainPicture {
  readonly state: BufferState;
  /** Split ring: number of its first descriptor. Packed ring: its buffer id. */
  readonly id: number;
  readonly links: readonly ChainLink[];
  /** Bytes that the device has written, for one that was given back. */
  readonly written?: number;
  /** What its driver must not do. */
  readonly problem?: string;
}

/** Does what a driver may have made impossible; `instead` is given what is wrong. */
export function orProblem<Result>(action: () => Result, instead: (problem: string) => Result): Result {
  try {
    return action();
  } catch (error) {
    if (error instanceof QueueError || error instanceof DmaError) return instead(error.message);
    throw error;
  }
}

/** Follows a chain as far as it leads; `walk` tells of each descriptor, and throws at the one that is wrong. */
export function pictureChain(
  state: BufferState,
  id: number,
  walk: (see: SeeDescriptor) => { readonly id: number },
): ChainPicture {
  const links: ChainLink[] = [];
  return orProblem<ChainPicture>(
    () => {
      const chain = walk((descriptor, index, isIndirect) => links.push({ ...descriptor, index, isIndirect }));
      return { state, id: chain.id, links };
    },
    (problem) => {
      const last = links.at(-1);
      return { state, id, links: last ? [...links.slice(0, -1), { ...last, problem }] : [], problem };
    },
  );
}

/** Which chain each entry of a table belongs to, the first one that it does. */
export function chainsOfEntries(chains: readonly ChainPicture[]): ReadonlyMap<number, number> {
  const owners = new Map<number, number>();
  for (const [number, { links }] of chains.entries())
    for (const { index, isIndirect } of links) if (!isIndirect && !owners.has(index)) owners.set(index, number);
  return owners;
}

/** Descriptors that are followed in all: a driver could make a great many of a few. */
export const MOST_LINKS = 4096;

/** So many chains, as long as they don't lead to too much. */
export function* chainsWithin(count: number, chainAt: (step: number) => ChainPicture): Iterable<ChainPicture> {
  let links = 0;
  for (let step = 0; step < count && links < MOST_LINKS; step++) {
    const chain = chainAt(step);
    links += chain.links.length;
    yield chain;
  }
}
