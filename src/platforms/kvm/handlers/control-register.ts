import { changedBits } from '../../../hypervisor/exits/changed-bits.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { CR0, CR2, CR3, CR4, EFER } from '../../../processor/state/layout.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { type ExitOf, kernelFrame } from '../kvm.ts';

const SLOTS = { 0: CR0, 2: CR2, 3: CR3, 4: CR4 } as const;

/** Control register access (VMX reason 28, SVM 0x00 to 0x1F): the host owns bits of CR0 and CR4. */
export function* handleControlRegister(context: ExitContext<ExitOf<'cr'>>): Handler {
  const { register, access, value } = context.exit;
  yield stage('kvm-cr.exit', { register: `CR${register}`, access, value });
  yield* inFrame(kernelFrame(`kvm_set_cr${register}`), setRegister(context));
}

function* setRegister(context: ExitContext<ExitOf<'cr'>>): Handler {
  const { exit, processor } = context;
  const { state } = processor;
  const read = () => (exit.register === 8 ? BigInt(processor.virtualTpr) : state.get64(SLOTS[exit.register]));
  const old = read();
  yield stage('kvm-cr.check', { old, new: exit.value, changed: changedBits(exit.register, old, exit.value) });
  const before = processor.icount;
  processor.performNatively();
  context.result(processor.icount === before ? '#GP(0)' : 'ok');
  yield stage('kvm-cr.complete', { value: read(), efer: state.get64(EFER), mode: processor.mode });
}
