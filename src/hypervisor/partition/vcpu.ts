import type { VmExit } from '../../processor/exit.ts';
import type { Processor } from '../../processor/processor.ts';
import { Flag } from '../../processor/state/cpu-state.ts';
import { ACTIVITY } from '../../processor/state/layout.ts';
import type { ExitActivity } from '../exits/exit-activity.ts';
import type { InterceptSettings } from '../intercepts/settings.ts';
import type { VirtualCpu } from './partition.ts';

/** VMCS activity states. */
export const Activity = { ACTIVE: 0, HALTED: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;

/** A vCPU of a partition, with what the scheduler keeps of it. */
export class Vcpu implements VirtualCpu {
  /** The exit whose handler is in progress. */
  activity: ExitActivity | undefined;
  lastExit: VmExit | undefined;
  settings: InterceptSettings | undefined;
  /** The processor said that it has nothing to do; cleared by whatever may change that. */
  parked = false;
  /** It doesn't run until whoever suspended it lets it go on. */
  suspended = false;
  isPresent = true;
  /** It waits for any interrupt, also one that its guest has off. */
  private waits = false;
  /** Guest time at which it was to wake for its preemption timer. */
  alarm: bigint | undefined;
  /** Ticks that it was ready to run while another ran. */
  stolen = 0n;

  constructor(
    readonly index: number,
    readonly processor: Processor,
    private readonly interrupts: { hasInterrupt(): boolean },
  ) {}

  private get state(): number {
    return this.processor.state.get32(ACTIVITY);
  }
  private get interruptsOn(): boolean {
    return (this.processor.state.rflags & Flag.IF) !== 0;
  }

  /** Whether running it may get anywhere. */
  get runnable(): boolean {
    const { state } = this;
    if (this.suspended) return false;
    if (!this.parked || state === Activity.ACTIVE) return true;
    return state === Activity.HALTED && (this.interruptsOn || this.waits) && this.interrupts.hasInterrupt();
  }
  /** Whether an interrupt or its preemption timer would wake it; `nmis`: there are NMIs too, which come with interrupts off. */
  wakes(nmis: boolean): boolean {
    if (this.suspended) return false;
    return (
      this.state === Activity.HALTED &&
      (this.interruptsOn || this.waits || nmis || this.processor.preemptionDeadline !== undefined)
    );
  }

  /** Halts until any interrupt comes, whether its guest takes it or not. */
  waitForInterrupt(): void {
    this.processor.state.set32(ACTIVITY, Activity.HALTED);
    this.waits = true;
  }
  /** Before it runs: goes on if what it waits for has come. */
  endWait(): void {
    if (!this.waits) return;
    if (this.state === Activity.HALTED) {
      if (!this.interrupts.hasInterrupt()) return;
      this.processor.state.set32(ACTIVITY, Activity.ACTIVE);
    }
    this.waits = false;
  }

  reset(): void {
    this.waits = false;
    this.activity = undefined;
    this.lastExit = undefined;
    this.settings = undefined;
    this.parked = false;
    this.suspended = false;
    this.alarm = undefined;
    this.stolen = 0n;
  }
}
