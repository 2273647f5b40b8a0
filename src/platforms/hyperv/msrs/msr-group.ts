import type { InspectNode } from '../../../devices/inspect.ts';
import type { Processor } from '../../../processor/processor.ts';
import type { Handler } from '../../../stages/stage.ts';

/**
 * Synthetic MSRs that belong together. PartitionMsrs asks it only for what abi/msrs.ts lets the partition do: the MSR is known, may be
 * accessed this way, and the partition has the privilege.
 */
export interface MsrGroup {
  /** Numbers of its MSRs. */
  readonly msrs: readonly number[];
  /** Value of one of them; undefined means #GP(0). */
  read(processor: Processor, msr: number): bigint | undefined;
  /** Writes one of them; false means #GP(0). */
  write(processor: Processor, msr: number, value: bigint): boolean;
  /** The same for a write that does so much that it has stages. */
  writeInStages?(processor: Processor, msr: number, value: bigint): Handler<boolean>;
  /** A vCPU after a reset. That of vCPU 0, which is the first, is the partition's, too. */
  reset?(vcpu: number): void;
  /** What a debugger shows of it. */
  inspect?(): readonly InspectNode[];
}
