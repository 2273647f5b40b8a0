import { changedBits } from '../../../hypervisor/exits/changed-bits.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { CR0, CR2, CR3, CR4, EFER } from '../../../processor/state/layout.ts';
import { type Handler, type HandlerFrame, inFrame, stage } from '../../../stages/stage.ts';

const SLOTS = { 0: CR0, 2: CR2, 3: CR3, 4: CR4 } as const;

/**
 * Control register access (VMX reason 28, SVM 0x00 to 0x1F): the host owns bits of CR0 and CR4. `frame`: the
 * function of the hypervisor that sets the register.
 */
export function* handleControlRegister(frame: HandlerFrame, context: ExitContext<ExitOf<'cr'>>): Handler {
  const { register, access, value } = context.exit;
  yield stage('control-register.exit', { register: `CR${register}`, access, value });
  yield* inFrame(frame, setRegister(context));
}

function* setRegister(context: ExitContext<ExitOf<'cr'>>): Handler {
  const { exit, processor } = context;
  const { state } = processor;
  const read = () => (exit.register === 8 ? BigInt(processor.virtualTpr) : state.get64(SLOTS[exit.register]));
  const old = read();
  yield stage('control-register.check', { old, new: exit.value, changed: changedBits(exit.register, old, exit.value) });
  const before = processor.icount;
  processor.performNatively();
  context.result(processor.icount === before ? '#GP(0)' : 'ok');
  yield stage('control-register.complete', { value: read(), efer: state.get64(EFER), mode: processor.mode });
}
