import type { RunControl, Step } from './control.ts';
import type { SessionEvent, StepUnit } from './events.ts';
import { completeExit } from './exit-completion.ts';
import { StepOut } from './step-out.ts';

/**
 * Steps among the stages of an exit handler: into deeper frames, over them, or out: to the end of the handler. A guest that has called the
 * hypervisor through a page of that one's own is back behind its call, unless it is stepped by instructions.
 */
export class HandlerStep implements Step {
  /** Frames of the handler when the step began. */
  private readonly depth: number;
  /** Out of the page of the hypervisor's. */
  private leaving: StepOut | undefined;

  constructor(
    private readonly control: RunControl,
    private readonly motion: 'into' | 'over' | 'out',
    private readonly unit: StepUnit,
  ) {
    this.depth = Math.max(control.vcpu().activity?.frames.length ?? 0, 1);
  }

  slice(): SessionEvent | undefined {
    const { control, motion } = this;
    if (this.leaving) return this.leaving.slice();
    const rip = control.vcpu().activity?.exit.rip ?? -1n;
    control.enterSingleSteps();
    const stop = control.run({
      instructions: 1,
      onlyVcpu: control.current,
      stopAtStage: motion !== 'out',
      stopAtEntry: true,
    });
    if (stop.kind === 'stage') {
      if (stop.vcpu !== control.current) return undefined;
      const depth = control.vcpu().activity?.frames.length ?? 0;
      return motion === 'into' || depth <= this.depth ? control.stepDone('VM exit') : undefined;
    }
    if (stop.kind === 'entry') {
      // Another vCPU's handler was in progress.
      if (stop.vcpu !== control.current) return undefined;
      if (control.vcpu().suspended) return control.handOver();
      const result = completeExit(control, rip);
      if (result !== 'stepped') return result;
      if (this.unit === 'instruction' || !this.isInGateway) return control.stepDone('VM entry');
      this.leaving = new StepOut(control);
      return undefined;
    }
    return control.after(stop) ?? control.stepDone();
  }

  private get isInGateway(): boolean {
    const { partition, current } = this.control;
    return partition.gatewayAt(current, this.control.vcpu().processor.linearRip) !== undefined;
  }
}
