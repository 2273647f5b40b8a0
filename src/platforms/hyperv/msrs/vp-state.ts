import type { Processor } from '../../../processor/processor.ts';
import { Msr } from '../abi/msrs.ts';
import { TICKS_PER_UNIT } from '../hyperv.ts';
import type { MsrGroup } from './msr-group.ts';

/** What a virtual processor can ask about itself. */
export class VpState implements MsrGroup {
  readonly msrs = [Msr.VP_INDEX, Msr.VP_RUNTIME];

  read(processor: Processor, msr: number): bigint {
    // It runs while it retires instructions, of 1 ns each.
    return msr === Msr.VP_INDEX ? BigInt(processor.index) : processor.icount / TICKS_PER_UNIT;
  }
  write(): boolean {
    return false;
  }
}
