import type { PassedStop, Processor } from '../../processor/processor.ts';
import type { LineRange } from '../../symbols/symbol-source.ts';
import { currentFlow, type InstructionFlow } from '../inspection/instruction-flow.ts';
import { interruptTargets } from '../inspection/interrupt-table.ts';
import { isAssembly } from '../inspection/source-kind.ts';
import { type RunControl, SLICE_STEPS, type Step } from './control.ts';
import type { SessionEvent, StepUnit } from './events.ts';
import { completeExit } from './exit-completion.ts';
import { RunUntil, WaitForService } from './run-until.ts';

/** A line step that meets no new line in so many single steps ends where it is. */
const LONGEST = 300_000;
/** Faults that the delivery of another event can end in: #DF, #TS, #NP, #SS, #GP, #PF. */
const DELIVERY_FAULTS = [8, 10, 11, 12, 13, 14];

/** Where the vCPU was before an instruction. */
interface Place {
  readonly rip: bigint;
  readonly sp: bigint;
}

const lineKey = (line: LineRange | undefined) => line && `${line.position.path}:${line.position.line}`;
const isCallLike = ({ kind }: InstructionFlow) => kind === 'call' || kind === 'interrupt' || kind === 'system-call';

export interface GuestStepOptions {
  readonly unit: StepUnit;
  /** Into calls and into VM exits; else both count as one instruction. */
  readonly into: boolean;
  /** Into calls, but VM exits count as one instruction all the same. */
  readonly exitsAreOne?: boolean;
  /** Goes into what the instruction at this linear address calls or exits to, whatever `into` says. */
  readonly site?: bigint;
  /** The vCPU stands before the delivery of this exception. */
  readonly exception?: number;
}

/** A step in the guest, by instruction or by line. It goes on instruction by instruction, and over calls at full speed. */
export class GuestStep implements Step {
  private readonly origin: { readonly line: string | undefined; readonly sp: bigint };
  private run: Pick<RunUntil, 'slice'> | undefined;
  /** What comes when `run` has arrived. */
  private afterRun: () => SessionEvent | undefined = () => undefined;
  private steps = 0;

  constructor(
    private readonly control: RunControl,
    private readonly options: GuestStepOptions,
  ) {
    const { processor } = control.vcpu();
    this.origin = { line: lineKey(control.symbols.lineAt(processor.linearRip)), sp: processor.state.gpr(4) };
    if (options.exception === undefined) control.enterSingleSteps();
    else this.toHandler(options.exception);
  }

  slice(): SessionEvent | undefined {
    if (this.run) {
      const result = this.run.slice();
      if (result !== 'arrived') return result;
      this.run = undefined;
      const event = this.afterRun();
      if (event || this.run) return event;
      this.control.enterSingleSteps();
    }
    for (let count = 0; count < SLICE_STEPS; count++) {
      const event = this.stepOne();
      if (event || this.run) return event;
    }
    return undefined;
  }

  private runTo(
    addresses: readonly bigint[],
    afterRun: () => SessionEvent | undefined,
    accepts?: (at: Processor) => boolean,
    passed?: PassedStop,
  ): void {
    this.run = new RunUntil(this.control, addresses, accepts, passed);
    this.afterRun = afterRun;
  }

  /** Runs to the return of a call at full speed; a deeper call of the same code passes there too, with a lower stack. */
  private overCall(place: Place, next: bigint): undefined {
    this.runTo(
      [next],
      () => this.arrived({ kind: 'plain', length: 0 }, place),
      ({ state }) => state.gpr(4) >= place.sp,
    );
    return undefined;
  }

  /** Lets an exception be delivered and stops at the first instruction of its handler. */
  private toHandler(vector: number): undefined {
    const { control } = this;
    const targets = interruptTargets(control.vcpu().processor, [vector, ...DELIVERY_FAULTS]);
    this.runTo(targets, () => control.stepDone('Guest exception'), undefined, 'exception');
    return undefined;
  }

  /** A halted vCPU goes on when an interrupt comes: into its handler, or over it back to where the vCPU waits. */
  private wakeUp(processor: Processor): undefined {
    const { control, options } = this;
    const targets = options.into ? interruptTargets(processor) : [];
    this.runTo([...targets, processor.linearRip], () => control.stepDone('Woken by an interrupt'));
    return undefined;
  }

  /**
   * Another partition serves the exit of the instruction: it has been stepped over once the vCPU goes on behind it. One that is run again,
   * with its memory mapped say, is yet to be stepped over.
   */
  private awaitService(flow: InstructionFlow, place: Place): undefined {
    const { control } = this;
    this.run = new WaitForService(control);
    this.afterRun = () => {
      if (control.vcpu().processor.linearRip === place.rip) return undefined;
      return control.judgeHere(control.current) ?? this.arrived(flow, place);
    };
    return undefined;
  }

  private stepOne(): SessionEvent | undefined {
    const { control, options } = this;
    const { processor } = control.vcpu();
    if (control.vcpu().suspended)
      return this.awaitService(currentFlow(processor), { rip: processor.linearRip, sp: processor.state.gpr(4) });
    if (processor.halted) return this.wakeUp(processor);
    const flow = currentFlow(processor);
    const place: Place = { rip: processor.linearRip, sp: processor.state.gpr(4) };
    const next = BigInt.asUintN(64, place.rip + BigInt(flow.length));
    const goesIn = options.into || options.site === place.rip;
    // `call` to the next instruction only asks where it is; it never returns.
    if (isCallLike(flow) && !goesIn && flow.target !== next) return this.overCall(place, next);
    if (flow.kind === 'rep' && !(options.into && options.unit === 'instruction')) return this.overCall(place, next);
    const stop = control.run({
      instructions: 1,
      onlyVcpu: control.current,
      stopAtStage: goesIn && !options.exitsAreOne,
      stopAtEntry: goesIn && !options.exitsAreOne,
    });
    switch (stop.kind) {
      case 'budget':
        break;
      case 'stage':
        return stop.vcpu === control.current ? control.stepDone('VM exit') : undefined;
      case 'entry': {
        if (stop.vcpu !== control.current) return undefined;
        if (control.vcpu().suspended) return control.handOver();
        const result = completeExit(control, place.rip - (processor.linearRip - processor.state.rip));
        if (result !== 'stepped') return result;
        control.enterSingleSteps();
        break;
      }
      case 'exception':
        return control.after(stop) ?? (stop.exit.reason === 'exception' ? this.toHandler(stop.exit.vector) : undefined);
      case 'idle':
        return processor.halted ? this.wakeUp(processor) : undefined;
      default:
        return control.after(stop);
    }
    return control.judgeHere(control.current) ?? this.arrived(flow, place);
  }

  /** Whether the step is done after an instruction. */
  private arrived(flow: InstructionFlow, before: Place): SessionEvent | undefined {
    const { control, options, origin } = this;
    const { processor } = control.vcpu();
    const rip = processor.linearRip;
    if (options.unit === 'instruction' || ++this.steps > LONGEST || processor.halted) return control.stepDone();
    const here = control.symbols.lineAt(rip);
    const next = before.rip + BigInt(flow.length);
    if (isCallLike(flow) && rip !== next) return this.entered(here, before, next);
    if (!here) return origin.line === undefined ? control.stepDone() : undefined;
    if (flow.kind === 'return' && processor.state.gpr(4) > origin.sp) return control.stepDone();
    if (lineKey(here) !== origin.line) return here.isStatement ? control.stepDone() : undefined;
    // A loop of one instruction, such as `jmp $`: each round is a step. The instructions of a macro are one line.
    return isAssembly(here.position.path) && rip === before.rip ? control.stepDone() : undefined;
  }

  /** A call was entered: the step ends behind the function's prologue; code without lines is left at once, but for a way into the hypervisor. */
  private entered(here: LineRange | undefined, before: Place, next: bigint): SessionEvent | undefined {
    const { control } = this;
    const rip = control.vcpu().processor.linearRip;
    if (!here) {
      if (this.origin.line === undefined) return control.stepDone();
      return control.partition.gatewayAt(control.current, rip) === undefined ? this.overCall(before, next) : undefined;
    }
    const body = control.symbols.functionAt(rip)?.bodyStart ?? rip;
    if (body <= rip) return control.stepDone();
    this.runTo([body], () => control.stepDone());
    return undefined;
  }
}
