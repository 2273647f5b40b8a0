import type { Processor } from '../../../processor/processor.ts';
import type { Hyperv } from '../hyperv.ts';
import type { SyntheticMsrs } from './synthetic-msrs.ts';

/** The synthetic MSRs of a partition, as its privileges let it have them. */
export class PartitionMsrs implements SyntheticMsrs {
  constructor(private readonly hyperv: Hyperv) {}

  knows(msr: number): boolean {
    return msr >>> 8 === 0x40_0000 || msr >>> 8 === 0x40_0001;
  }

  read(_processor: Processor, msr: number): bigint | undefined {
    return msr === 0x4000_0020 ? this.hyperv.referenceTime() : undefined;
  }

  write(_processor: Processor, _msr: number, _value: bigint): boolean {
    return false;
  }
}
