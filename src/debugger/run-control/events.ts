import type { PartitionEnd } from '../../hypervisor/partition/run.ts';
import type { VmExit, WatchHit } from '../../processor/exit.ts';

/** Why the guest stands still now. */
export interface StopEvent {
  readonly reason: 'entry' | 'step' | 'breakpoint' | 'data breakpoint' | 'exception' | 'pause' | 'goto';
  readonly vcpu: number;
  /** One line for the editor's call stack. */
  readonly description: string;
  /** A longer text, where there is one. */
  readonly text?: string;
  readonly hitBreakpoints?: readonly number[];
  readonly exit?: VmExit;
  /** The access that a data breakpoint stops before. */
  readonly watch?: WatchHit;
}

export type SessionEvent =
  | { readonly kind: 'stopped'; readonly stop: StopEvent }
  | { readonly kind: 'ended'; readonly end: PartitionEnd }
  | { readonly kind: 'log'; readonly text: string }
  /** A vCPU waits for another partition, which serves its exit: a step into the exit goes on there. */
  | { readonly kind: 'handed-over'; readonly vcpu: number }
  /** The guest has other symbols than before: a kernel was found, its modules came or went. */
  | { readonly kind: 'symbols' };

/** What a step stands on: one instruction, or a line of the source. */
export type StepUnit = 'instruction' | 'line';
