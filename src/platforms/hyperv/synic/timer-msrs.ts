import type { Processor } from '../../../processor/processor.ts';
import { Msr, STIMER_COUNT } from '../abi/msrs.ts';
import type { MsrGroup } from '../msrs/msr-group.ts';
import type { SyntheticTimer } from './synthetic-timer.ts';

/** The MSRs of the synthetic timers: CONFIG and COUNT of each. */
export class TimerMsrs implements MsrGroup {
  readonly msrs = Array.from({ length: 2 * STIMER_COUNT }, (_, index) => Msr.STIMER0_CONFIG + index);

  /** `timers`: those of each vCPU. */
  constructor(private readonly timers: readonly (readonly SyntheticTimer[])[]) {}

  private timerOf({ index }: Processor, msr: number): SyntheticTimer | undefined {
    return this.timers[index]?.[(msr - Msr.STIMER0_CONFIG) >> 1];
  }

  read(processor: Processor, msr: number): bigint | undefined {
    const timer = this.timerOf(processor, msr);
    return isCount(msr) ? timer?.count : timer?.config;
  }
  write(processor: Processor, msr: number, value: bigint): boolean {
    const timer = this.timerOf(processor, msr);
    if (!timer) return false;
    if (isCount(msr)) timer.count = value;
    else timer.config = value;
    return true;
  }
  reset(vcpu: number): void {
    for (const timer of this.timers[vcpu] ?? []) timer.reset();
  }
}

function isCount(msr: number): boolean {
  return (msr & 1) === (Msr.STIMER0_COUNT & 1);
}
