import type { Processor } from '../../../processor/processor.ts';

/** The synthetic MSRs of a partition. */
export interface SyntheticMsrs {
  /** True for the numbers of Hyper-V's own MSRs, whether the partition may use them or not. */
  knows(msr: number): boolean;
  /** Its value; undefined (#GP) where the partition may not read it. */
  read(processor: Processor, msr: number): bigint | undefined;
  /** Writes it; false (#GP) for a bad value, or where the partition may not. */
  write(processor: Processor, msr: number, value: bigint): boolean;
}
