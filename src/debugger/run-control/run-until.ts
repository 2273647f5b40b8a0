import type { PassedStop, Processor } from '../../processor/processor.ts';
import { type RunControl, SLICE_INSTRUCTIONS, type Step } from './control.ts';
import type { SessionEvent } from './events.ts';

/** Runs at full speed until the vCPU is at one of some addresses in a state that is accepted. */
export class RunUntil {
  private readonly addresses: ReadonlySet<bigint>;
  /** An exception is yet to be delivered: no interrupt may come before it. */
  private delivers: boolean;

  constructor(
    private readonly control: RunControl,
    addresses: readonly bigint[],
    private readonly accepts: (processor: Processor) => boolean = () => true,
    passed: PassedStop = 'breakpoint',
  ) {
    this.addresses = new Set(addresses);
    this.delivers = passed === 'exception';
    control.enterRun(addresses);
    const { processor } = control.vcpu();
    // A halted vCPU is not at the instruction any more that it would pass.
    if (!processor.halted) processor.resumePast(passed);
  }

  slice(): SessionEvent | 'arrived' | undefined {
    const { control } = this;
    const request = this.delivers ? { instructions: 1, onlyVcpu: control.current } : { instructions: SLICE_INSTRUCTIONS };
    this.delivers = false;
    const stop = control.run(request);
    if (stop.kind !== 'breakpoint' || stop.vcpu !== control.current) return control.after(stop);
    const { processor } = control.vcpu();
    if (!this.addresses.has(processor.linearRip)) return control.after(stop);
    const event = control.judgeHere(stop.vcpu);
    if (event) return event;
    if (this.accepts(processor)) return 'arrived';
    processor.resumePast('breakpoint');
    return undefined;
  }
}

/** A step that ends at the first of some addresses; where there are none, it ends when a user stops it. */
export class RunTo implements Step {
  private readonly run: RunUntil;

  constructor(
    private readonly control: RunControl,
    addresses: readonly bigint[],
    private readonly description: string,
  ) {
    this.run = new RunUntil(control, addresses);
  }

  slice(): SessionEvent | undefined {
    const result = this.run.slice();
    return result === 'arrived' ? this.control.stepDone(this.description) : result;
  }
}

/** Waits until the current vCPU is suspended no more: another partition serves its exit meanwhile. */
export class WaitForService {
  constructor(private readonly control: RunControl) {
    control.enterRun([]);
  }

  slice(): SessionEvent | 'arrived' | undefined {
    const { control } = this;
    if (!control.vcpu().suspended) return 'arrived';
    return control.after(control.run({ instructions: SLICE_INSTRUCTIONS }));
  }
}
