import type { Host } from '../../../hypervisor/host/host.ts';
import { GuestPartition } from '../../../hypervisor/partition/guest-partition.ts';
import type { Machine } from '../../../hypervisor/partition/platform.ts';
import { createProcessor } from '../../../processor/cpu.ts';
import type { RamRegion } from '../../../processor/memory/partition-memory.ts';
import { SMALL_VCPU_SIZE } from '../../../processor/state/layout.ts';
import { waitForStartUp } from '../../apply-entry.ts';
import { HypervPlatform } from '../hyperv-platform.ts';
import type { ChildPartition, RunningChild } from './child-partition.ts';

/** Virtual processors that a partition made by a guest can have. */
export const MOST_VPS = 4;
const MIB = 1 << 20;
const LOWEST = 1 << 20;
/** A child can have memory at the top of the first 4 GiB, too, where the processors' first instruction is. */
const TOP: RamRegion = { gpa: 0xfff0_0000n, length: MIB };

/**
 * The address space of a child: where its parent can map pages. It has no memory before. A child has no more of it than its parent, from
 * whom it gets it all.
 */
function addressSpace({ parent }: ChildPartition): readonly RamRegion[] {
  const bytes = parent.machine.secondLevel.memory.regions.reduce((sum, { length }) => sum + length, 0);
  const low = Math.min(Math.max(bytes & ~(MIB - 1), LOWEST), 3 * 2 ** 30);
  return [{ gpa: 0n, length: low }, TOP];
}

/** Makes what an initialized partition runs as: a partition of the host whose platform is its parent. Throws HostRefusal where there is no room. */
export function makeRunningChild(host: Host, child: ChildPartition, vendor: 'intel' | 'amd'): RunningChild {
  const { parent } = child;
  const model = parent.machine.processors[0]?.model;
  if (!model) throw new Error('a parent without processors');
  const memory = host.takeMemory(addressSpace(child), MOST_VPS, SMALL_VCPU_SIZE);
  const processors = Array.from({ length: MOST_VPS }, (_, index) => createProcessor({ index, memory, model }));
  const made: { platform?: HypervPlatform; machine?: Machine } = {};
  const partition = new GuestPartition({
    id: child.hostId,
    name: `partition ${child.id}`,
    vendor,
    memory,
    processors,
    lowMemory: 0n,
    highMemory: 0n,
    startSeconds: parent.startSeconds,
    exitOrder: host.exitOrder,
    onRefusal: (vcpu, refusal) => host.noteRefusal(child.hostId, vcpu, refusal),
    platform: (machine) => {
      made.machine = machine;
      made.platform = new HypervPlatform(machine, vendor, {
        partitionId: child.id,
        startSeconds: parent.startSeconds,
        privileges: child.privileges,
        parent: { hyperv: parent, child },
      });
      return made.platform;
    },
    load: () => {
      const { secondLevel } = made.machine ?? {};
      for (const { gpa, length } of memory.regions) secondLevel?.takeAway(gpa, BigInt(length));
      // Nobody waits for what was never created, and the first one waits for its parent.
      for (const processor of processors.slice(1)) waitForStartUp(processor);
    },
  });
  if (!made.platform) throw new Error('a partition without a platform');
  const { suspension } = made.platform;
  for (const { index } of processors) {
    suspension.set(index, 'explicit', true);
    partition.setPresent(index, false);
  }
  host.add(partition);
  return { partition, hyperv: made.platform };
}
