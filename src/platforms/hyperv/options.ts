import type { Host } from '../../hypervisor/host/host.ts';
import { ConfigurationError, DEFAULT_START_SECONDS, grantOf, type PartitionConfiguration } from '../configuration.ts';
import type { PartitionPlace } from '../partition-place.ts';
import type { HypervOptions } from './hyperv-platform.ts';
import type { ChildPartition } from './partitions/child-partition.ts';
import { makeRunningChild } from './partitions/make-child.ts';
import { machineServices } from './vsps/machine-services.ts';

/** Hosts with a guest that is the root, and its number there. */
const ROOTS = new WeakMap<Host, number>();
const ROOT_ID = 1n;

/** Throws ConfigurationError for a second root: there is one, and it makes all other partitions. */
export function checkRoot(configuration: PartitionConfiguration, host: Host): void {
  const root = ROOTS.get(host);
  const isThere = host.partitions.some(({ id }) => id === root);
  if (isThere && mayMakeOthers(configuration))
    throw new ConfigurationError(
      `Partition ${root} is Hyper-V's root, and there is only one; take the privilege create-partitions from this partition or from that one.`,
    );
}

function mayMakeOthers(configuration: PartitionConfiguration): boolean {
  return grantOf(configuration).privileges.has('create-partitions');
}

/**
 * What a partition has of Hyper-V. The root has number 1: it is the guest that may make partitions, if one may, and else none of those that
 * are run here. The others have their numbers among the partitions of the host, those before the root the next one.
 */
export function hypervOptions(
  configuration: PartitionConfiguration,
  { id, host, mac, zeroedAtStart }: PartitionPlace,
): HypervOptions {
  const { vendor, startSeconds = DEFAULT_START_SECONDS, intercepts, testDevice, screen } = configuration;
  const makesOthers = mayMakeOthers(configuration);
  if (makesOthers) ROOTS.set(host, id);
  const others = BigInt(ROOTS.has(host) ? id : id + 1);
  const options: HypervOptions = {
    partitionId: makesOthers ? ROOT_ID : others,
    startSeconds,
    zeroedAtStart,
    intercepts,
    testDevice,
    vsps: (machine, interrupts) => machineServices(machine, interrupts, { mac, screen }),
  };
  if (!makesOthers) return options;
  const make = (child: ChildPartition) => makeRunningChild(host, child, vendor);
  return { ...options, makesChildren: { host, make } };
}
