import { HvStatus } from '../abi/status.ts';
import type { Hyperv } from '../hyperv.ts';
import type { MsrGroup } from '../msrs/msr-group.ts';
import type { Synic, SynicMessage } from './synic.ts';

/** The synthetic interrupt controllers of a partition. */
export class PartitionSynic implements Synic {
  /** Its MSRs, and those of the synthetic timers. */
  readonly msrGroups: readonly MsrGroup[] = [];

  constructor(private readonly hyperv: Hyperv) {}

  post(vcpu: number, _source: number, _message: SynicMessage): number {
    return this.hyperv.machine.processors[vcpu] ? HvStatus.INVALID_SYNIC_STATE : HvStatus.INVALID_VP_INDEX;
  }

  signal(vcpu: number, _source: number, _flag: number): number {
    return this.hyperv.machine.processors[vcpu] ? HvStatus.INVALID_SYNIC_STATE : HvStatus.INVALID_VP_INDEX;
  }
}
