import type { ChannelSummary, ChannelView, VmbusView } from '../../debugger/inspection/vmbus.ts';

/** What the page of VMBus channels and the extension tell each other. */

export interface ChannelChoice {
  /** Number of the partition. */
  readonly partition: number;
  readonly channel: number;
}

/** The VMBus of a partition. */
export interface PartitionBus {
  readonly id: number;
  readonly name: string;
  readonly bus: VmbusView;
}

export interface ChannelsMessage {
  readonly kind: 'channels';
  /** Guests run: what is shown may have changed already. */
  readonly moving: boolean;
  readonly partitions: readonly PartitionBus[];
  readonly chosen?: ChannelChoice;
  readonly channel?: ChannelView;
}

/** The channel that a view begins with: the busiest one that is open, else the first there is. */
export function firstChoice(partitions: readonly PartitionBus[]): ChannelChoice | undefined {
  const all = partitions.flatMap(({ id, bus }) => bus.channels.map((channel) => ({ partition: id, channel })));
  const traffic = ({ channel }: { channel: ChannelSummary }) => channel.received + channel.sent;
  const open = all.filter(({ channel }) => channel.state === 'open');
  const found = open.length > 0 ? open.reduce((best, one) => (traffic(one) > traffic(best) ? one : best)) : all[0];
  return found && { partition: found.partition, channel: found.channel.id };
}

/** The channel of a choice; undefined where it is no longer there. */
export function chosenChannel(
  partitions: readonly PartitionBus[],
  choice: ChannelChoice | undefined,
): ChannelSummary | undefined {
  const bus = partitions.find(({ id }) => id === choice?.partition)?.bus;
  return bus?.channels.find(({ id }) => id === choice?.channel);
}
