import type { RunControl, Step } from './control.ts';
import type { SessionEvent } from './events.ts';
import { completeExit } from './exit-completion.ts';

/** Steps among the stages of an exit handler: into deeper frames, over them, or out: to the end of the handler. */
export class HandlerStep implements Step {
  /** Frames of the handler when the step began. */
  private readonly depth: number;

  constructor(
    private readonly control: RunControl,
    private readonly motion: 'into' | 'over' | 'out',
  ) {
    this.depth = Math.max(control.vcpu().activity?.frames.length ?? 0, 1);
  }

  slice(): SessionEvent | undefined {
    const { control, motion } = this;
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
      const result = completeExit(control, rip);
      return result === 'stepped' ? control.stepDone('VM entry') : result;
    }
    return control.after(stop) ?? control.stepDone();
  }
}
