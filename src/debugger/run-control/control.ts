import type { Partition, VirtualCpu } from '../../hypervisor/partition/partition.ts';
import type { RunRequest, RunStop } from '../../hypervisor/partition/run.ts';
import type { SymbolSource } from '../../symbols/symbol-source.ts';
import type { SessionEvent } from './events.ts';

/** Instructions of one slice at full speed: a few milliseconds. */
export const SLICE_INSTRUCTIONS = 100_000;
/** Single steps of one slice. */
export const SLICE_STEPS = 150;

/** What steps ask of the session that they belong to. */
export interface RunControl {
  readonly partition: Partition;
  readonly symbols: SymbolSource;
  /** Index of the vCPU that steps. */
  readonly current: number;
  vcpu(index?: number): VirtualCpu;
  /** Runs the partition, but not what stands still and not past the end of its turn. */
  run(request: RunRequest): RunStop;
  /** What a stop of the partition means to the user, if anything. */
  after(stop: RunStop): SessionEvent | undefined;
  stepDone(description?: string): SessionEvent;
  /** The step goes on in the partition that serves the exit of the current vCPU, which is suspended. */
  handOver(): SessionEvent;
  /** Asks the user's breakpoints at RIP, counting the hit and printing logs. An event when one of them stops. */
  judgeHere(vcpu: number): SessionEvent | undefined;
  /** Single steps have no breakpoints in the processor and see all exceptions before they are delivered. */
  enterSingleSteps(): void;
  /** Runs at full speed: to these addresses, past none of the user's stops. */
  enterRun(addresses: readonly bigint[]): void;
}

/** A motion of the guest in progress. */
export interface Step {
  /** Goes on for a slice. Undefined: not done yet. */
  slice(): SessionEvent | undefined;
}

/** Who goes on and who stops with a vCPU: every partition of the session, its own partition, or nobody else. */
export const MOTION_SCOPES = ['all', 'partition', 'vcpu'] as const;
export type MotionScope = (typeof MOTION_SCOPES)[number];
