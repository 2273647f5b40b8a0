import type { Processor } from '../../../processor/processor.ts';
import { Msr } from '../abi/msrs.ts';
import type { Hyperv } from '../hyperv.ts';
import type { MsrGroup } from './msr-group.ts';

const RESET = 1n;

/** Waiting and starting anew. */
export class Power implements MsrGroup {
  readonly msrs = [Msr.RESET, Msr.GUEST_IDLE, Msr.POWER_STATE_TRIGGER_C1, Msr.POWER_STATE_TRIGGER_C2, Msr.POWER_STATE_TRIGGER_C3];

  constructor(private readonly hyperv: Pick<Hyperv, 'machine' | 'apic'>) {}

  /** A read of all but RESET waits for an interrupt, which needn't be one that the guest can take now. */
  read({ index }: Processor, msr: number): bigint {
    if (msr !== Msr.RESET && !this.hyperv.apic(index).hasInterrupt()) this.hyperv.machine.waitForInterrupt(index);
    return 0n;
  }

  write(_processor: Processor, _msr: number, value: bigint): boolean {
    const { machine } = this.hyperv;
    if ((value & RESET) !== 0n && machine.door.ask('power', () => 'a reset through HV_X64_MSR_RESET'))
      machine.finish({ kind: 'reset', status: 0, message: 'The guest reset its partition through HV_X64_MSR_RESET.' });
    return true;
  }
}
