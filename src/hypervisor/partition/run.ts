import type { VmExit, WatchHit } from '../../processor/exit.ts';

/** How a partition's life ended. */
export interface PartitionEnd {
  readonly kind: 'power-off' | 'halted' | 'debug-exit' | 'triple-fault' | 'reset' | 'crash' | 'internal-error' | 'destroyed';
  /** Exit status of `hyperscope run` (docs/reference/command-line.md). */
  readonly status: number;
  /** One sentence. */
  readonly message: string;
  /** What the guest has said of it, line by line. */
  readonly details?: readonly string[];
}

/** What a debugger wants to hear of; installed with `Partition.setDebugHooks`. */
export interface DebugHooks {
  /** Asked for each VM exit before its handler starts; true stops there with `{ kind: 'exit' }`. */
  stopAtExit(vcpu: number, exit: VmExit): boolean;
}

export interface RunRequest {
  /** At most this many guest instructions over all vCPUs. */
  readonly instructions: number;
  /** Only this vCPU runs (single-thread stepping). */
  readonly onlyVcpu?: number;
  /** vCPUs that stand still while the others run, also in the middle of an exit's handler. */
  readonly held?: ReadonlySet<number>;
  /** Guest time at which it comes back, for other partitions to have their turn. */
  readonly until?: bigint;
  /** Stop at the next stage of an exit handler in progress, or that begins. */
  readonly stopAtStage?: boolean;
  /** Stop when an exit's handler is done, before the vCPU re-enters. */
  readonly stopAtEntry?: boolean;
}

/** Why `Partition.run` came back. `vcpu` is who caused it. */
export type RunStop =
  | { readonly kind: 'budget' }
  /** Guest time has come to {@link RunRequest.until}. */
  | { readonly kind: 'time' }
  | { readonly kind: 'breakpoint'; readonly vcpu: number }
  | { readonly kind: 'watch'; readonly vcpu: number; readonly hit: WatchHit }
  /** A VM exit happened that the hooks wanted; its handler has not begun. */
  | { readonly kind: 'exit'; readonly vcpu: number; readonly exit: VmExit }
  /** An exit handler is at a stage (`vcpu.activity`). */
  | { readonly kind: 'stage'; readonly vcpu: number }
  /** An exit handler is done; the vCPU is about to re-enter the guest. */
  | { readonly kind: 'entry'; readonly vcpu: number }
  /** A guest exception that the debugger asked for (`Processor.debugExceptions`), not delivered yet. */
  | { readonly kind: 'exception'; readonly vcpu: number; readonly exit: VmExit }
  | { readonly kind: 'stop-requested' }
  /** All vCPUs wait and no timer runs: only input from outside (`Partition.sendConsole`) can go on. */
  | { readonly kind: 'idle' }
  /** All vCPUs wait for a timer, whose time hasn't come in the world outside either ({@link IdlePace}). */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'ended'; readonly end: PartitionEnd };
