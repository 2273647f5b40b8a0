import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { Flag } from '../../../processor/state/cpu-state.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { type Kvm, kernelFrame } from '../kvm.ts';

/** HLT (VMX reason 12, SVM 0x78): with the in-kernel interrupt chip the vCPU sleeps in the kernel, no exit to the VMM. */
export function* handleHalt(kvm: Kvm, context: ExitContext): Handler {
  yield stage('kvm-halt.exit', { rip: context.exit.rip });
  yield* inFrame(kernelFrame('kvm_emulate_halt'), emulateHalt(kvm, context));
}

function* emulateHalt(kvm: Kvm, context: ExitContext): Handler {
  const { processor } = context;
  const interruptsOn = (processor.state.rflags & Flag.IF) !== 0;
  processor.performNatively();
  context.result('halted');
  yield stage('kvm-halt.block', {
    interrupts: interruptsOn ? 'on' : 'off: only an NMI or INIT can wake it',
    pending: kvm.apic(context.vcpu).hasInterrupt(),
  });
}
