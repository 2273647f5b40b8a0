import type { DmaMemory } from '../../dma.ts';
import { type Descriptor, DescriptorFlag, readPackedDescriptor } from '../queue/descriptor.ts';
import { GuestWords } from '../queue/guest-words.ts';
import { EVENT_SIZE, EVENT_WRAP, EventFlags, isAvailable, walkPackedChain } from '../queue/packed-queue.ts';
import { FIRST_POSITION, type QueueLayout, type QueuePosition } from '../queue/virtqueue.ts';
import { type ChainPicture, chainsOfEntries, MOST_LINKS, pictureChain } from './chain-picture.ts';
import type { EventPicture, RingContents } from './ring-picture.ts';

const EVENT_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(EventFlags).map(([name, flags]) => [flags, name]),
);

/** The ring of a packed queue. Throws QueueError and DmaError where it can't be read at all. */
export function picturePackedRing(dma: DmaMemory, layout: QueueLayout, position: QueuePosition = FIRST_POSITION): RingContents {
  const { size, descriptorArea, driverArea, deviceArea } = layout;
  const words = new GuestWords(dma);
  const descriptors = Array.from({ length: size }, (_, index) => readPackedDescriptor(words, descriptorArea, index));
  const waiting = chainsFrom(position.available, size, 'waiting', (first, isNextRound) =>
    isAvailable(first, position.availableWrap !== isNextRound),
  );
  const between = (position.available - position.used + size) % size;
  const inFlight = between === 0 && position.availableWrap !== position.usedWrap ? size : between;
  const taken = chainsFrom(position.used, inFlight, 'taken', () => true);
  const chains = [...waiting, ...taken, ...lastUsed(descriptors, position)];
  const owners = chainsOfEntries(chains);
  return {
    entries: descriptors.map((descriptor, index) => ({ ...descriptor, chain: owners.get(index) })),
    driverEvents: pictureEvents(words.view(driverArea, EVENT_SIZE)),
    deviceEvents: pictureEvents(words.view(deviceArea, EVENT_SIZE)),
    chains,
    problems: [],
  };

  /** The chains in `count` entries from `start` on, as long as their first ones are wanted. */
  function chainsFrom(
    start: number,
    count: number,
    state: 'waiting' | 'taken',
    isWanted: (first: Descriptor, isNextRound: boolean) => boolean,
  ): ChainPicture[] {
    const found: ChainPicture[] = [];
    let links = 0;
    for (let at = start; at < start + count && links < MOST_LINKS; ) {
      const first = descriptors[at % size];
      if (first === undefined || !isWanted(first, at >= size)) break;
      const chain = pictureChain(state, first.link, (see) => walkPackedChain(words, layout, at % size, see));
      found.push(chain);
      links += chain.links.length;
      // Behind one that is wrong nobody knows where the next one begins.
      if (chain.problem !== undefined) break;
      at += entriesOf(chain);
    }
    return found;
  }
}

/** Entries of the ring that a chain takes. */
const entriesOf = ({ links }: ChainPicture): number => links.filter(({ isIndirect }) => !isIndirect).length;

/** Descriptors that the device wrote over, since its round began: of the buffers themselves only id and length are left. */
function lastUsed(descriptors: readonly Descriptor[], { used, usedWrap }: QueuePosition): ChainPicture[] {
  const mark = usedWrap ? DescriptorFlag.AVAILABLE | DescriptorFlag.USED : 0;
  const both = DescriptorFlag.AVAILABLE | DescriptorFlag.USED;
  const found: ChainPicture[] = [];
  for (let index = used - 1; index >= 0; index--) {
    const descriptor = descriptors[index];
    if (descriptor === undefined || (descriptor.flags & both) !== mark) continue;
    const written = descriptor.flags & DescriptorFlag.WRITE ? descriptor.length : 0;
    found.push({ state: 'used', id: descriptor.link, links: [{ ...descriptor, index, isIndirect: false }], written });
  }
  return found;
}

function pictureEvents(view: DataView): EventPicture {
  const word = view.getUint16(0, true);
  const flags = view.getUint16(2, true);
  return { mode: EVENT_NAMES[flags] ?? `reserved ${flags}`, place: word & ~EVENT_WRAP, wrap: (word & EVENT_WRAP) !== 0 };
}
