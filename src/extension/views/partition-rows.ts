import type { PartitionNode, PartitionRoot } from '../../adapter/requests/partitions.ts';
import type { QueueChoice } from '../../webview/virtqueues/messages.ts';
import type { ChannelChoice } from '../../webview/vmbus/messages.ts';

/** A row of the Partitions view. */
export interface PartitionRow {
  /** The names from the partition down to it: the same from one answer to the next, so what is unfolded stays so. */
  readonly id: string;
  readonly name: string;
  /** What stands beside the name. */
  readonly description: string;
  readonly tooltip: string;
  readonly value?: string;
  readonly memoryReference?: string;
  /** Name of one of the editor's icons. */
  readonly icon?: string;
  readonly children: readonly PartitionRow[];
}

/** Icons of what every partition has. */
const ICONS: Readonly<Record<string, string>> = {
  vCPUs: 'circuit-board',
  'memory map': 'symbol-array',
  'second level': 'list-tree',
  platform: 'layers',
  devices: 'plug',
  privileges: 'shield',
  'refused requests': 'circle-slash',
};
const STATE_ICONS: Readonly<Record<PartitionRoot['state'], string>> = {
  running: 'vm-running',
  stopped: 'vm',
  ended: 'vm-outline',
};

/** The rows of an answer to `hyperscope/partitions`. */
export function partitionRows(roots: readonly PartitionRoot[]): PartitionRow[] {
  return roots.map((root) => {
    const { id, state, value, detail } = root;
    const text = row(String(id), root, STATE_ICONS[state]);
    return { ...text, description: [value, state, detail].filter((part) => part !== undefined).join('  ') };
  });
}

const QUEUE_ROW = /^(\d+)\/devices\/(?:.*\/)?([^/]+)\/queue (\d+): [^/]*$/;

/** The virtqueue that a row is about. */
export function queueOfRow(id: string): QueueChoice | undefined {
  const [, partition, device, queue] = QUEUE_ROW.exec(id) ?? [];
  return device === undefined ? undefined : { partition: Number(partition), device, queue: Number(queue) };
}

const CHANNEL_ROW = /^(\d+)\/platform\/VMBus\/channel (\d+)$/;

/** The channel of a VMBus that a row is about. */
export function channelOfRow(id: string): ChannelChoice | undefined {
  const [, partition, channel] = CHANNEL_ROW.exec(id) ?? [];
  return channel === undefined ? undefined : { partition: Number(partition), channel: Number(channel) };
}

function row(id: string, { name, value, detail, memoryReference, children = [] }: PartitionNode, icon?: string): PartitionRow {
  const seen = new Map<string, number>();
  return {
    id,
    name,
    description: [value, detail].filter((part) => part !== undefined).join('  '),
    tooltip: [value === undefined ? name : `${name}: ${value}`, detail].filter((part) => part !== undefined).join('\n'),
    value,
    memoryReference,
    icon,
    children: children.map((child) => {
      // Some have the same name: two regions of RAM.
      const before = seen.get(child.name) ?? 0;
      seen.set(child.name, before + 1);
      return row(
        `${id}/${child.name}${before === 0 ? '' : `#${before + 1}`}`,
        child,
        id.includes('/') ? undefined : ICONS[child.name],
      );
    }),
  };
}
