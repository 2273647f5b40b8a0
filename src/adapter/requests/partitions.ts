import type { Guest } from '../../debugger/launch-guest.ts';
import type { InspectNode } from '../../devices/inspect.ts';
import { writeReference } from '../references.ts';
import type { RequestHandler } from './handler.ts';

/** A node of the tree that `hyperscope/partitions` answers with. */
export interface PartitionNode {
  readonly name: string;
  readonly value?: string;
  readonly detail?: string;
  /** For `readMemory`, where the thing lies in the guest's memory. */
  readonly memoryReference?: string;
  readonly children?: readonly PartitionNode[];
}

/** A partition of the session. */
export interface PartitionRoot extends PartitionNode {
  /** Number of the partition. */
  readonly id: number;
  readonly state: 'running' | 'stopped' | 'ended';
}

function describeNode(guest: number, { name, value, detail, memory, children }: InspectNode): PartitionNode {
  return {
    name,
    value,
    detail,
    memoryReference: memory && writeReference({ guest, ...memory }),
    children: children?.map((child) => describeNode(guest, child)),
  };
}

function stateOf({ partition, session }: Guest): PartitionRoot['state'] {
  if (partition.end !== undefined) return 'ended';
  return session.running ? 'running' : 'stopped';
}

/**
 * `hyperscope/partitions` (an addition to the protocol): the partitions as trees of their vCPUs, memory map, platform and devices, as
 * they are at this moment. It works also while the guests run.
 */
const partitions: RequestHandler = ({ launched: { guests } }) => {
  const roots = guests.map(
    (guest): PartitionRoot => ({
      ...describeNode(guest.index, guest.partition.inspect()),
      id: guest.partition.id,
      name: guest.configuration.name,
      state: stateOf(guest),
    }),
  );
  return { body: { partitions: roots } };
};

export const partitionRequests: Readonly<Record<string, RequestHandler>> = { 'hyperscope/partitions': partitions };
