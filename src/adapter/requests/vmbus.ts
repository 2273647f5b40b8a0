import { type ChannelView, channelView, type VmbusView, vmbusOf, vmbusView } from '../../debugger/inspection/vmbus.ts';
import { errors } from '../errors.ts';
import { writeReference } from '../references.ts';
import { guestOfPartition, numberOf, optionalNumber, type RequestHandler } from './handler.ts';

const COMMAND = 'hyperscope/vmbus';

/** Answer to `hyperscope/vmbus`. */
export interface VmbusBody {
  /** Partitions that have a VMBus. */
  readonly partitions: readonly { readonly id: number; readonly name: string; readonly bus: VmbusView }[];
  /** The channel that was asked for. */
  readonly channel?: ChannelView;
}

/**
 * `hyperscope/vmbus` (an addition to the protocol): the VMBus of all partitions that have one, with its channels and, where `partition` and
 * `channel` say which, the rings of one and the packets in them. `unfold`: packets whose bytes are wanted, as `from:OFFSET` (of the ring from
 * the guest) and `to:OFFSET`. It works also while the guests run.
 */
const vmbus: RequestHandler = (adapter, parameters) => {
  const { guests } = adapter.launched;
  const body: VmbusBody = {
    partitions: guests.flatMap(({ partition, configuration }) => {
      const bus = vmbusOf(partition);
      return bus === undefined ? [] : [{ id: partition.id, name: configuration.name, bus: vmbusView(bus) }];
    }),
  };
  if (optionalNumber(parameters, 'channel') === undefined) return { body };
  const guest = guestOfPartition(adapter, parameters, COMMAND) ?? guests[0];
  const bus = guest && vmbusOf(guest.partition);
  if (!guest || !bus) throw errors.badArguments(COMMAND, 'the number of a partition that has a VMBus as "partition"');
  const channel = channelView(bus, numberOf(parameters, 'channel', COMMAND), {
    reference: (address) => writeReference({ guest: guest.index, space: 'gpa', address }),
    unfolded: Array.isArray(parameters.unfold) ? parameters.unfold.filter((key): key is string => typeof key === 'string') : [],
  });
  if (!channel) throw errors.badArguments(COMMAND, 'the number of a channel of that bus as "channel"');
  return { body: { ...body, channel } };
};

export const vmbusRequests: Readonly<Record<string, RequestHandler>> = { [COMMAND]: vmbus };
