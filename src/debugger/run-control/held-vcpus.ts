import type { VirtualCpu } from '../../hypervisor/partition/partition.ts';
import type { StopEvent } from './events.ts';

/** The vCPUs of a partition that stand still while others of it move, each with what it stopped for. */
export class HeldVcpus {
  /** A motion or a stop is about one vCPU, and the others stay as they are; else it is about all. */
  alone = false;
  private readonly held = new Set<number>();
  private readonly stops = new Map<number, StopEvent>();

  constructor(private readonly all: readonly VirtualCpu[]) {}

  /** Their indices. */
  get vcpus(): ReadonlySet<number> {
    return this.held;
  }

  /** What a vCPU stopped for, as long as it stands there. */
  stopOf(vcpu: number): StopEvent | undefined {
    return this.stops.get(vcpu);
  }

  /** Lets a vCPU go, with all others or alone; `running` says whether any moves already. Gives those that stood still. */
  release(vcpu: number, running: boolean): readonly VirtualCpu[] {
    const { all, held, stops } = this;
    if (this.alone) {
      if (!running) for (const { index } of all) held.add(index);
      held.delete(vcpu);
      stops.delete(vcpu);
      return all.filter(({ index }) => index === vcpu);
    }
    const released = all.filter(({ index }) => !running || held.has(index));
    this.clear();
    return released;
  }

  /** A vCPU stops, and with it the one that was stepped, or all. Returns whether any moves on. */
  hold(stop: StopEvent, stepper: number): boolean {
    this.stops.set(stop.vcpu, stop);
    if (!this.alone) return false;
    this.held.add(stop.vcpu).add(stepper);
    return this.all.some(({ index }) => !this.held.has(index));
  }

  clear(): void {
    this.held.clear();
    this.stops.clear();
  }
}
