import {
  type VirtioDeviceView,
  type VirtqueueView,
  virtioDeviceView,
  virtqueueView,
} from '../../debugger/inspection/virtqueues.ts';
import { errors } from '../errors.ts';
import { writeReference } from '../references.ts';
import { guestOfPartition, numberOf, optionalText, type RequestHandler } from './handler.ts';

const COMMAND = 'hyperscope/virtqueues';

/** Answer to `hyperscope/virtqueues`. */
export interface VirtqueuesBody {
  readonly partitions: readonly {
    /** Number of the partition. */
    readonly id: number;
    readonly name: string;
    readonly devices: readonly VirtioDeviceView[];
  }[];
  /** The queue that was asked for. */
  readonly queue?: VirtqueueView;
}

/**
 * `hyperscope/virtqueues` (an addition to the protocol): the virtio devices of all partitions with their queues and, where `partition`,
 * `device` and `queue` say which, all that is in the rings of one. `unfold`: ids of buffers whose bytes are wanted. It works also while
 * the guests run.
 */
const virtqueues: RequestHandler = (adapter, parameters) => {
  const { guests } = adapter.launched;
  const body: VirtqueuesBody = {
    partitions: guests.map(({ partition, configuration }) => ({
      id: partition.id,
      name: configuration.name,
      devices: partition.virtioDevices.map(virtioDeviceView),
    })),
  };
  const name = optionalText(parameters, 'device');
  if (name === undefined) return { body };
  const guest = guestOfPartition(adapter, parameters, COMMAND) ?? guests[0];
  const device = guest?.partition.virtioDevices.find((one) => one.name === name);
  if (!guest || !device) throw errors.badArguments(COMMAND, 'the name of a virtio device of the partition as "device"');
  const queue = virtqueueView(device, numberOf(parameters, 'queue', COMMAND), {
    reference: (address) => writeReference({ guest: guest.index, space: 'gpa', address }),
    unfolded: Array.isArray(parameters.unfold) ? parameters.unfold.filter((id): id is number => typeof id === 'number') : [],
  });
  if (!queue) throw errors.badArguments(COMMAND, 'the number of a queue of that device as "queue"');
  return { body: { ...body, queue } };
};

export const virtqueueRequests: Readonly<Record<string, RequestHandler>> = { [COMMAND]: virtqueues };
