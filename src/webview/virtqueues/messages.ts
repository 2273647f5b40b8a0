import type { VirtioDeviceView, VirtqueueView } from '../../debugger/inspection/virtqueues.ts';

/** What the page of virtqueues and the extension tell each other. */

/** A queue of a device. */
export interface QueueChoice {
  /** Number of the partition. */
  readonly partition: number;
  readonly device: string;
  readonly queue: number;
}

/** The virtio devices of a partition. */
export interface PartitionDevices {
  readonly id: number;
  readonly name: string;
  readonly devices: readonly VirtioDeviceView[];
}

export interface QueuesMessage {
  readonly kind: 'queues';
  /** Guests run: what is shown may have changed already. */
  readonly moving: boolean;
  readonly partitions: readonly PartitionDevices[];
  readonly chosen?: QueueChoice;
  readonly queue?: VirtqueueView;
}

/** The queue that a view begins with: the first that a driver uses, else the first there is. */
export function firstChoice(partitions: readonly PartitionDevices[]): QueueChoice | undefined {
  const all = partitions.flatMap(({ id, devices }) =>
    devices.flatMap(({ name, queues }) =>
      queues.map(({ index, isReady }) => ({ partition: id, device: name, queue: index, isReady })),
    ),
  );
  const found = all.find(({ isReady }) => isReady) ?? all[0];
  return found && { partition: found.partition, device: found.device, queue: found.queue };
}

/** The device of a choice; undefined where it is no longer there. */
export function chosenDevice(
  partitions: readonly PartitionDevices[],
  choice: QueueChoice | undefined,
): VirtioDeviceView | undefined {
  const devices = partitions.find(({ id }) => id === choice?.partition)?.devices;
  return devices?.find(({ name, queues }) => name === choice?.device && queues.some(({ index }) => index === choice.queue));
}
