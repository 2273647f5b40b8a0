import { RingPage } from '../ring-page.ts';
import { chosenDevice, type QueueChoice, type QueuesMessage } from './messages.ts';
import { queueParts } from './queue-parts.ts';

/** The page of the Virtqueues view. */
new RingPage<QueuesMessage>({
  list: 'queues',
  options({ partitions, chosen }) {
    const all = partitions.flatMap(({ id, name, devices }) =>
      devices.flatMap(({ name: device, needsReset, queues }) =>
        queues.map(({ index, name: queue, isReady, waiting, taken }) => {
          const where = partitions.length > 1 ? `${name}: ` : '';
          const state = isReady ? `${waiting} wait, ${taken} in flight` : 'not ready';
          const choice: QueueChoice = { partition: id, device, queue: index };
          const reset = needsReset === undefined ? '' : ', needs a reset';
          return { value: JSON.stringify(choice), text: `${where}${device} ${index} ${queue} (${state}${reset})` };
        }),
      ),
    );
    return { all, chosen: chosenDevice(partitions, chosen) ? JSON.stringify(chosen) : undefined };
  },
  parts: (message, unfolded) => queueParts(message, new Set([...unfolded].map(Number))),
  key: Number,
});
