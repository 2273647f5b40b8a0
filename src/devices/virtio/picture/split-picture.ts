import type { DmaMemory } from '../../dma.ts';
import { readSplitDescriptor } from '../queue/descriptor.ts';
import { GuestWords } from '../queue/guest-words.ts';
import { AROUND_ENTRIES, AVAILABLE_ENTRY, USED_ENTRY, walkSplitChain } from '../queue/split-queue.ts';
import type { QueueLayout, QueuePosition } from '../queue/virtqueue.ts';
import { type BufferState, type ChainPicture, chainsOfEntries, chainsWithin, pictureChain } from './chain-picture.ts';
import type { RingContents, RingEntry } from './ring-picture.ts';

/** Buffers that were given back and are still followed: the driver may have made others of their descriptors. */
const MOST_USED = 8;
const FIRST_ENTRY = 4;
const INDEX = 2;

/** The rings of a split queue. Throws QueueError and DmaError where they can't be read at all. */
export function pictureSplitRing(dma: DmaMemory, layout: QueueLayout, position: QueuePosition | undefined): RingContents {
  const { size, descriptorArea, driverArea, deviceArea, hasEventIndex } = layout;
  const words = new GuestWords(dma);
  const available = words.view(driverArea, AROUND_ENTRIES + AVAILABLE_ENTRY * size);
  const used = words.view(deviceArea, AROUND_ENTRIES + USED_ENTRY * size);
  const head = (count: number) => available.getUint16(FIRST_ENTRY + (count % size) * AVAILABLE_ENTRY, true);
  const given = (count: number) => {
    const at = FIRST_ENTRY + (count % size) * USED_ENTRY;
    return { id: used.getUint32(at, true), written: used.getUint32(at + 4, true) };
  };
  const availableIndex = available.getUint16(INDEX, true);
  const usedIndex = used.getUint16(INDEX, true);
  const taken = position?.available ?? 0;
  const returned = position?.used ?? 0;

  const ahead = (availableIndex - taken) & 0xffff;
  const waiting = ahead > size ? 0 : ahead;
  const inFlight = Math.min((taken - returned) & 0xffff, size);
  const chainAt = (count: number, state: BufferState): ChainPicture =>
    pictureChain(state, head(count), (see) => walkSplitChain(words, layout, head(count), see));
  const chains = [
    ...chainsWithin(waiting, (step) => chainAt(taken + step, 'waiting')),
    ...chainsWithin(inFlight, (step) => chainAt(returned + step, 'taken')),
  ];
  const busy = new Set(chains.map(({ id }) => id));
  // A wrapped counter is past all entries.
  const kept = Math.min(returned, size, MOST_USED);
  for (const step of range(kept)) {
    const { id, written } = given((returned - 1 - step) & 0xffff);
    if (busy.has(id)) continue;
    busy.add(id);
    chains.push({ ...pictureChain('used', id, (see) => walkSplitChain(words, layout, id, see)), written });
  }
  const owners = chainsOfEntries(chains);

  /** Of the entries of the available ring. */
  const states = new Map<number, BufferState>();
  for (const step of range(inFlight)) states.set((returned + step) % size, 'taken');
  for (const step of range(waiting)) states.set((taken + step) % size, 'waiting');
  const event = (view: DataView, entry: number) => (hasEventIndex ? view.getUint16(FIRST_ENTRY + size * entry, true) : undefined);
  const problems: string[] = [];
  if (ahead > size) problems.push(`the available index is ${ahead} entries ahead of the device in a ring of ${size}`);
  if (position && usedIndex !== returned)
    problems.push(`the used index in memory is ${usedIndex}, but the device has given back ${returned}: somebody wrote there`);
  return {
    entries: range(size).map((index) => ({
      ...readSplitDescriptor(words, descriptorArea, index),
      chain: owners.get(index),
    })),
    available: {
      flags: available.getUint16(0, true),
      index: availableIndex,
      event: event(available, AVAILABLE_ENTRY),
      entries: range(size).map((slot): RingEntry => ({ id: head(slot), state: states.get(slot) })),
    },
    used: {
      flags: used.getUint16(0, true),
      index: usedIndex,
      event: event(used, USED_ENTRY),
      entries: range(size).map((slot): RingEntry => ({ ...given(slot), state: isGiven(slot) ? 'used' : undefined })),
    },
    chains,
    problems,
  };

  /** Of what was given back, the newest that are followed. */
  function isGiven(slot: number): boolean {
    return (((returned - 1) % size) - slot + size) % size < kept;
  }
}

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
