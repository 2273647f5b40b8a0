import type { Host } from '../../hypervisor/host/host.ts';
import { DEFAULT_START_SECONDS, grantOf, type PartitionConfiguration } from '../configuration.ts';
import type { PartitionPlace } from '../partition-place.ts';
import type { HypervOptions } from './hyperv-platform.ts';
import type { ChildPartition } from './partitions/child-partition.ts';
import { makeRunningChild } from './partitions/make-child.ts';
import { machineServices } from './vsps/machine-services.ts';

/** Hosts whose first partition is the root. */
const ROOTED = new WeakSet<Host>();

/**
 * What a partition has of Hyper-V. The root has number 1 and may make others: it is the first guest, if that may make partitions, and else
 * none of those that are run here.
 */
export function hypervOptions(configuration: PartitionConfiguration, { id, host, mac }: PartitionPlace): HypervOptions {
  const { vendor, startSeconds = DEFAULT_START_SECONDS, intercepts, testDevice, screen } = configuration;
  const makesOthers = grantOf(configuration).privileges.has('create-partitions');
  if (makesOthers && id === 1) ROOTED.add(host);
  const idOffset = ROOTED.has(host) ? 0n : 1n;
  const options: HypervOptions = {
    partitionId: BigInt(id) + idOffset,
    startSeconds,
    intercepts,
    testDevice,
    vsps: (machine) => machineServices(machine, { mac, screen }),
  };
  if (!makesOthers) return options;
  const make = (child: ChildPartition) => makeRunningChild(host, child, vendor);
  return { ...options, makesChildren: { host, make, idOffset } };
}
