import type { VirtualCpu } from '../../hypervisor/partition/partition.ts';
import { Activity } from '../../hypervisor/partition/vcpu.ts';
import { ACTIVITY } from '../../processor/state/layout.ts';

const ACTIVITIES: Readonly<Record<number, string>> = {
  [Activity.HALTED]: 'halted',
  [Activity.SHUTDOWN]: 'shut down',
  [Activity.WAIT_FOR_SIPI]: 'waiting for a start-up IPI',
};

/** What a vCPU does instead of running guest code, in a few words; undefined when it runs. */
export function vcpuStatus({ activity, processor, suspended }: VirtualCpu): string | undefined {
  if (activity) return 'in the hypervisor';
  return suspended ? 'suspended' : ACTIVITIES[processor.state.get32(ACTIVITY)];
}

/** Whether a vCPU runs nothing until another one starts it. */
export function waitsForStartUp({ processor }: VirtualCpu): boolean {
  return processor.state.get32(ACTIVITY) === Activity.WAIT_FOR_SIPI;
}
