import type { RunRequest } from './run.ts';
import type { Vcpu } from './vcpu.ts';

/** Instructions that a vCPU gets before the next one's turn, when there are several. */
const QUANTUM = 10_000n;

function canRun(vcpu: Vcpu | undefined, held: RunRequest['held']): boolean {
  return vcpu?.runnable === true && held?.has(vcpu.index) !== true;
}

/**
 * Which vCPU of a partition runs: they take turns in the order of their numbers. A turn ends with its quantum, when the vCPU has
 * nothing to do, or when it gives way because it only waits for another one. All of it follows from the guest's instructions,
 * never from where a call of `run` stops.
 */
export class VcpuTurns {
  private current = 0;
  /** Guest time at which the current turn ends. */
  private ends = QUANTUM;
  /** Who gets the next turn before all others, if it can run. */
  private preferred: number | undefined;

  reset(): void {
    this.current = 0;
    this.ends = QUANTUM;
    this.preferred = undefined;
  }

  /** Whose turn it is at a guest time: the current vCPU until its turn ends, then the next one that can run. */
  next(vcpus: readonly Vcpu[], now: bigint, { onlyVcpu, held }: RunRequest): Vcpu | undefined {
    if (onlyVcpu !== undefined) {
      const vcpu = vcpus[onlyVcpu];
      return vcpu?.runnable ? vcpu : undefined;
    }
    const count = vcpus.length;
    // It comes after itself.
    if (count === 1) return canRun(vcpus[0], held) ? vcpus[0] : undefined;
    const isOver = now >= this.ends;
    const preferred = isOver && this.preferred !== undefined ? vcpus[this.preferred] : undefined;
    if (canRun(preferred, held)) return preferred;
    const first = isOver ? 1 : 0;
    for (let step = first; step < first + count; step++) {
      const vcpu = vcpus[(this.current + step) % count];
      if (canRun(vcpu, held)) return vcpu;
    }
    return undefined;
  }

  /** When the turn of a vCPU ends that runs from now on. */
  endOf({ index }: Vcpu, now: bigint): bigint {
    return index !== this.current || now >= this.ends ? now + QUANTUM : this.ends;
  }

  /** A vCPU has run in a turn that ends at this time. */
  took({ index }: Vcpu, ends: bigint): void {
    this.current = index;
    this.ends = ends;
    this.preferred = undefined;
  }

  /** Ends the current turn, in favour of a certain vCPU if one is named. */
  giveWay(now: bigint, to?: number): void {
    this.ends = now;
    this.preferred = to;
  }
}
