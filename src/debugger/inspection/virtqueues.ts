import { DmaError } from '../../devices/dma.ts';
import { featureNames, statusNames } from '../../devices/virtio/abi.ts';
import type { BufferState, ChainLink, ChainPicture } from '../../devices/virtio/picture/chain-picture.ts';
import { explainChain } from '../../devices/virtio/picture/explain.ts';
import type { QueuePicture } from '../../devices/virtio/picture/queue-picture.ts';
import type { EventPicture, RingPicture } from '../../devices/virtio/picture/ring-picture.ts';
import { flagNames } from '../../devices/virtio/queue/descriptor.ts';
import type { QueuePosition } from '../../devices/virtio/queue/virtqueue.ts';
import type { VirtioDevice } from '../../devices/virtio/virtio-device.ts';
import { hex } from '../../x86/address.ts';
import { dumpRow, PER_ROW } from './dump-row.ts';

/** Virtio devices and their queues as views and the console show them: numbers of memory as `0x…`, with a reference for each place. */

export interface VirtioDeviceView {
  readonly name: string;
  /** Kind of device (virtio 1.2, 5). */
  readonly type: number;
  readonly status: string;
  readonly statusNames: readonly string[];
  /** What the driver must not do and did, as a part of a sentence. */
  readonly needsReset?: string;
  /** Names of the features that were offered and accepted, and of those that were offered alone. */
  readonly accepted: readonly string[];
  readonly declined: readonly string[];
  readonly queues: readonly QueueSummary[];
}

export interface QueueSummary {
  readonly index: number;
  readonly name: string;
  readonly isReady: boolean;
  /** Entries that it has, and that it can have. */
  readonly size: number;
  readonly largest: number;
  /** Buffers that the device hasn't seen, and that it works on. */
  readonly waiting: number;
  readonly taken: number;
}

/** A place in the guest's physical memory. */
export interface PlaceView {
  readonly address: string;
  /** For `readMemory`. */
  readonly memoryReference: string;
}

export interface EntryView extends PlaceView {
  readonly length: number;
  readonly flags: readonly string[];
  /** Split ring: number of the next one. Packed ring: the buffer's id. */
  readonly link: number;
  /** Which of the chains it belongs to. */
  readonly chain?: number;
}

export interface LinkView extends Omit<EntryView, 'chain'> {
  readonly index: number;
  readonly isIndirect: boolean;
  readonly problem?: string;
  /** Its first bytes, a row for each 16, where it is unfolded. */
  readonly dump?: readonly string[];
}

export interface ChainView {
  readonly state: BufferState;
  readonly id: number;
  readonly written?: number;
  readonly problem?: string;
  readonly links: readonly LinkView[];
  /** What it says to its device: the header of a request. */
  readonly fields: readonly { readonly name: string; readonly value: string }[];
}

export interface VirtqueueView extends QueueSummary {
  readonly isPacked: boolean;
  readonly hasIndirect: boolean;
  readonly hasEventIndex: boolean;
  readonly areas: readonly (PlaceView & { readonly name: string; readonly length: number })[];
  readonly position?: QueuePosition;
  readonly entries: readonly EntryView[];
  readonly available?: RingPicture;
  readonly used?: RingPicture;
  readonly driverEvents?: EventPicture;
  readonly deviceEvents?: EventPicture;
  readonly chains: readonly ChainView[];
  readonly problems: readonly string[];
}

/** How a view refers to physical memory, and which buffers it shows the bytes of, by their ids. */
export interface QueueViewOptions {
  readonly reference: (gpa: bigint) => string;
  readonly unfolded?: readonly number[];
}

/** Bytes of a descriptor's memory that are shown. */
const MOST_BYTES = 256;

export function virtioDeviceView({ name, session }: VirtioDevice): VirtioDeviceView {
  const { model, status, features, offered } = session;
  return {
    name,
    type: model.id,
    status: hex(status, 2),
    statusNames: statusNames(status),
    needsReset: session.needsReset,
    accepted: featureNames(features, model.featureBits),
    declined: featureNames(offered & ~features, model.featureBits),
    queues: model.queues.flatMap((_, index) => {
      const picture = session.pictureOf(index);
      return picture ? [summary(session, index, picture)] : [];
    }),
  };
}

function summary({ model }: VirtioDevice['session'], index: number, { layout, position, chains }: QueuePicture): QueueSummary {
  const count = (wanted: BufferState) => chains.filter(({ state }) => state === wanted).length;
  return {
    index,
    name: model.queues[index]?.name ?? '',
    isReady: position !== undefined,
    size: layout.size,
    largest: model.queues[index]?.size ?? 0,
    waiting: count('waiting'),
    taken: count('taken'),
  };
}

/** A queue with all that is in its rings; undefined for one that the device doesn't have. Changes nothing. */
export function virtqueueView({ session }: VirtioDevice, index: number, options: QueueViewOptions): VirtqueueView | undefined {
  const picture = session.pictureOf(index);
  if (picture === undefined) return undefined;
  const { layout, areas, position, chains, entries, available, used, driverEvents, deviceEvents, problems } = picture;
  const place = (gpa: bigint): PlaceView => ({ address: hex(gpa), memoryReference: options.reference(gpa) });
  const entry = ({ gpa, length, flags, link }: Omit<ChainLink, 'index' | 'isIndirect'>) => ({
    ...place(gpa),
    length,
    flags: flagNames(flags),
    link,
  });
  const chainView = (chain: ChainPicture): ChainView => {
    const { state, id, written, problem, links } = chain;
    const isUnfolded = options.unfolded?.includes(id) === true;
    return {
      state,
      id,
      written,
      problem,
      links: links.map((link) => ({
        ...entry(link),
        index: link.index,
        isIndirect: link.isIndirect,
        problem: link.problem,
        dump: isUnfolded ? dumpOf(session, link) : undefined,
      })),
      fields: explainChain(session.memory, session.model.id, chain).map(([name, value]) => ({ name, value })),
    };
  };
  const { isPacked, hasIndirect, hasEventIndex } = layout;
  return {
    ...summary(session, index, picture),
    isPacked,
    hasIndirect,
    hasEventIndex,
    areas: areas.map(({ name, gpa, length }) => ({ name, length, ...place(gpa) })),
    position,
    entries: entries.map((one) => ({ ...entry(one), chain: one.chain })),
    available,
    used,
    driverEvents,
    deviceEvents,
    chains: chains.map(chainView),
    problems,
  };
}

/** The first bytes of a descriptor's memory, as rows; a sentence where they can't be read. */
function dumpOf({ memory }: VirtioDevice['session'], { gpa, length }: ChainLink): readonly string[] {
  const count = Math.min(length, MOST_BYTES);
  if (!memory.covers(gpa, count)) return ['no RAM is there'];
  try {
    const bytes = memory.read(gpa, count);
    const rows = Array.from({ length: Math.ceil(count / PER_ROW) }, (_, row) =>
      dumpRow({ space: 'gpa', address: gpa + BigInt(row * PER_ROW) }, bytes.subarray(row * PER_ROW, (row + 1) * PER_ROW)),
    );
    return count < length ? [...rows, `… ${length - count} more bytes`] : rows;
  } catch (error) {
    if (error instanceof DmaError) return [error.message];
    throw error;
  }
}
