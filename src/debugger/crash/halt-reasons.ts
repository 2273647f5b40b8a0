import { Activity } from '../../hypervisor/partition/vcpu.ts';
import { Flag } from '../../processor/state/cpu-state.ts';
import { ACTIVITY } from '../../processor/state/layout.ts';
import type { CrashSession } from './crash-report.ts';

/** Why nothing wakes a guest that halted for good: a sentence for each vCPU. */
export function haltReasons({ partition }: Pick<CrashSession, 'partition'>): string[] {
  return partition.vcpus.map(({ index, processor }) => {
    const who = `vCPU ${index}`;
    const activity = processor.state.get32(ACTIVITY);
    if (activity === Activity.WAIT_FOR_SIPI) return `${who} waits for a start-up IPI, which no vCPU can send any more.`;
    if (activity === Activity.SHUTDOWN) return `${who} has shut down after a triple fault.`;
    if ((processor.state.rflags & Flag.IF) === 0)
      return `${who} has interrupts off (RFLAGS.IF is 0), so that no interrupt can wake it, and nothing sends it an NMI or INIT.`;
    return `${who} has interrupts on, but no timer runs and no device is about to raise one.`;
  });
}
