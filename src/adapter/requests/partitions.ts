import type { Guest } from '../../debugger/launch-guest.ts';
import type { InspectNode } from '../../devices/inspect.ts';
import type { Host } from '../../hypervisor/host/host.ts';
import { inspectGrant, inspectRefusals } from '../../hypervisor/privileges/inspect.ts';
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

/** The machine, and what the hypervisor lets it do. */
function tree({ partition }: Guest, { journal }: Host): InspectNode {
  const { children = [], ...machine } = partition.inspect();
  const rights = [inspectGrant(partition.grant), inspectRefusals(journal.refusalsOf(partition.id))];
  return { ...machine, children: [...children, ...rights] };
}

function stateOf({ partition, session }: Guest): PartitionRoot['state'] {
  if (partition.end !== undefined) return 'ended';
  return session.running ? 'running' : 'stopped';
}

/**
 * `hyperscope/partitions` (an addition to the protocol): the partitions as trees of their vCPUs, memory map, platform, devices and
 * privileges, as they are at this moment. It works also while the guests run.
 */
const partitions: RequestHandler = ({ launched: { guests, host } }) => {
  const roots = guests.map(
    (guest): PartitionRoot => ({
      ...describeNode(guest.index, tree(guest, host)),
      id: guest.partition.id,
      name: guest.configuration.name,
      state: stateOf(guest),
    }),
  );
  return { body: { partitions: roots } };
};

export const partitionRequests: Readonly<Record<string, RequestHandler>> = { 'hyperscope/partitions': partitions };
