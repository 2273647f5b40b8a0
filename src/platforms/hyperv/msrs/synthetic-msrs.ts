import type { InspectNode } from '../../../devices/inspect.ts';
import type { Processor } from '../../../processor/processor.ts';
import type { Handler } from '../../../stages/stage.ts';

/** The synthetic MSRs of a partition. */
export interface SyntheticMsrs {
  /** True for the numbers of Hyper-V's own MSRs, whether the partition may use them or not. */
  knows(msr: number): boolean;
  /** Why the partition may not access it at all, as the end of a sentence. A refusal for want of a grant is told to the journals. */
  refusal(msr: number, isWrite: boolean): string | undefined;
  /** Its value; undefined (#GP) where the partition may not read it. */
  read(processor: Processor, msr: number): bigint | undefined;
  /** Writes it; false (#GP) for a bad value, or where the partition may not. */
  write(processor: Processor, msr: number, value: bigint): boolean;
  writeInStages(processor: Processor, msr: number, value: bigint): Handler<boolean>;
  inspect(): readonly InspectNode[];
}
