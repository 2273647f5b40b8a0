import type { DmaMemory } from '../../dma.ts';
import { packedAreas } from '../queue/packed-queue.ts';
import { splitAreas } from '../queue/split-queue.ts';
import { type Area, checkAreas, type QueueLayout, type QueuePosition } from '../queue/virtqueue.ts';
import { orProblem } from './chain-picture.ts';
import { picturePackedRing } from './packed-picture.ts';
import type { RingContents } from './ring-picture.ts';
import { pictureSplitRing } from './split-picture.ts';

/**
 * Pictures of queues for who looks into a machine: they read memory at any time and change nothing. What a driver has written wrongly
 * is shown as it is, with a sentence that says what is wrong.
 */

/** A queue and what is in its rings. */
export interface QueuePicture extends RingContents {
  readonly layout: QueueLayout;
  readonly areas: readonly Pick<Area, 'name' | 'gpa' | 'length'>[];
  /** Where the device is; undefined while the queue isn't ready. */
  readonly position: QueuePosition | undefined;
}

const nothing = (...problems: readonly string[]): RingContents => ({ entries: [], chains: [], problems });

/**
 * Pictures a queue with what is in its rings now. `largest`: entries that it can have; `position`: undefined for one that isn't ready.
 */
export function pictureQueue(
  dma: DmaMemory,
  layout: QueueLayout,
  largest: number,
  position: QueuePosition | undefined,
): QueuePicture {
  const { size, isPacked } = layout;
  const areas = isPacked ? packedAreas(layout) : splitAreas(layout);
  const isPlaced = areas.some(({ gpa }) => gpa !== 0n);
  const contents = () => {
    if (!isPlaced) return nothing();
    if (size < 1 || size > largest) return nothing(`it has ${size} entries, but may have 1 to ${largest}`);
    checkAreas(dma, areas);
    return (isPacked ? picturePackedRing : pictureSplitRing)(dma, layout, position);
  };
  return { layout, areas, position, ...orProblem(contents, nothing) };
}
