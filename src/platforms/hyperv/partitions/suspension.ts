import type { Machine } from '../../../hypervisor/partition/platform.ts';

/**
 * Why a virtual processor doesn't run: `explicit` and `intercept` are registers that its parent can clear (TLFS, "Virtual processor
 * states"); `message`: an intercept waits for room in its parent's queue of messages.
 */
export type SuspendReason = 'explicit' | 'intercept' | 'message';

/** Which virtual processors of a partition are suspended, and why. */
export class VpSuspension {
  private readonly reasons = {
    explicit: new Set<number>(),
    intercept: new Set<number>(),
    message: new Set<number>(),
  } as const satisfies Record<SuspendReason, Set<number>>;
  private whole = false;

  constructor(private readonly machine: Machine) {}

  isSuspended(vp: number, reason: SuspendReason): boolean {
    return this.reasons[reason].has(vp);
  }

  set(vp: number, reason: SuspendReason, isSuspended: boolean): void {
    if (isSuspended) this.reasons[reason].add(vp);
    else this.reasons[reason].delete(vp);
    this.apply(vp);
  }

  /** The partition as a whole (HvPartitionPropertySuspend). */
  get isWhole(): boolean {
    return this.whole;
  }
  set isWhole(isSuspended: boolean) {
    this.whole = isSuspended;
    for (const { index } of this.machine.processors) this.apply(index);
  }

  /** After a reset of a processor: nothing suspends it. */
  reset(vp: number): void {
    for (const members of Object.values(this.reasons)) members.delete(vp);
    if (this.whole) this.apply(vp);
  }

  private apply(vp: number): void {
    this.machine.suspend(vp, this.whole || Object.values(this.reasons).some((members) => members.has(vp)));
  }
}
