import type { PassedStop } from '../../processor/processor.ts';
import { guestContext } from '../inspection/call-stack.ts';
import { currentFlow } from '../inspection/instruction-flow.ts';
import { isAssembly } from '../inspection/source-kind.ts';
import { type RunControl, SLICE_STEPS, type Step } from './control.ts';
import type { SessionEvent } from './events.ts';
import { RunUntil } from './run-until.ts';

const RETURN_ADDRESS = 16;
const STACK_POINTER = 7;
/** RSP among the general registers in encoding order. */
const STACK_GPR = 4;
/** So many single steps without a return: what the stack says about the caller is tried, although it may be a guess. */
const PATIENCE = 30_000;

/**
 * Runs to the caller. With unwind information at full speed; assembly, whose stack is the program's own business, goes on
 * instruction by instruction (over calls at full speed) to the return that leaves this level of the stack.
 */
export class StepOut implements Step {
  private run: RunUntil | undefined;
  /** `run` ends the step; else it is a detour on the way. */
  private leaving = false;
  private readonly sp: bigint;
  private readonly cpl: number;
  private steps = 0;

  constructor(private readonly control: RunControl) {
    const { processor } = control.vcpu();
    this.sp = processor.state.gpr(STACK_GPR);
    this.cpl = processor.cpl;
    const path = control.symbols.lineAt(processor.linearRip)?.position.path;
    if (path === undefined || isAssembly(path) || !this.runToCaller()) control.enterSingleSteps();
  }

  private runToCaller(): boolean {
    const { control, sp } = this;
    const caller = control.symbols.unwind(guestContext(control, control.current));
    const pc = caller?.get(RETURN_ADDRESS);
    if (pc === undefined || pc === 0n) return false;
    const level = caller?.get(STACK_POINTER) ?? sp;
    this.run = new RunUntil(control, [pc], ({ state }) => state.gpr(STACK_GPR) >= level);
    this.leaving = true;
    return true;
  }
  slice(): SessionEvent | undefined {
    const { control } = this;
    if (this.run) {
      const result = this.run.slice();
      if (result !== 'arrived') return result;
      if (this.leaving) return control.stepDone();
      this.run = undefined;
      control.enterSingleSteps();
    }
    for (let count = 0; count < SLICE_STEPS; count++) {
      const event = this.stepOne();
      if (event || this.run) return event;
    }
    if (this.steps > PATIENCE) {
      this.steps = 0;
      this.runToCaller();
    }
    return undefined;
  }

  private stepOne(): SessionEvent | undefined {
    const { control } = this;
    const { processor } = control.vcpu();
    if (processor.halted) return this.runTo([processor.linearRip], 0n);
    const flow = currentFlow(processor);
    const next = BigInt.asUintN(64, processor.linearRip + BigInt(flow.length));
    const isDetour = flow.kind === 'call' || flow.kind === 'interrupt' || flow.kind === 'system-call' || flow.kind === 'rep';
    if (isDetour && flow.target !== next) return this.runTo([next], processor.state.gpr(STACK_GPR));
    this.steps++;
    const stop = control.run({ instructions: 1, onlyVcpu: control.current });
    if (stop.kind === 'exception') {
      const event = control.after(stop);
      if (event) return event;
      // The fault's handler is a detour that comes back to the same instruction.
      return this.runTo([processor.linearRip], processor.state.gpr(STACK_GPR), 'exception');
    }
    if (stop.kind !== 'budget') return control.after(stop);
    const event = control.judgeHere(control.current);
    if (event || flow.kind !== 'return') return event;
    return processor.state.gpr(STACK_GPR) > this.sp || processor.cpl > this.cpl ? control.stepDone() : undefined;
  }

  /** A detour at full speed, to be back on this level of the stack. */
  private runTo(addresses: readonly bigint[], level: bigint, passed?: PassedStop): undefined {
    this.run = new RunUntil(this.control, addresses, ({ state }) => state.gpr(STACK_GPR) >= level, passed);
    return undefined;
  }
}
