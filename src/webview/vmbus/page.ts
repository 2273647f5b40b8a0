import { RingPage } from '../ring-page.ts';
import { channelParts } from './channel-parts.ts';
import { type ChannelChoice, type ChannelsMessage, chosenChannel } from './messages.ts';

/** The page of the VMBus Channels view. */
new RingPage<ChannelsMessage>({
  list: 'channels',
  options({ partitions, chosen }) {
    const all = partitions.flatMap(({ id, name, bus }) =>
      bus.channels.map((channel) => {
        const where = partitions.length > 1 ? `${name}: ` : '';
        const choice: ChannelChoice = { partition: id, channel: channel.id };
        return { value: JSON.stringify(choice), text: `${where}${channel.id} ${channel.name} (${channel.state})` };
      }),
    );
    return { all, chosen: chosenChannel(partitions, chosen) ? JSON.stringify(chosen) : undefined };
  },
  parts: channelParts,
  key: (key) => key,
});
