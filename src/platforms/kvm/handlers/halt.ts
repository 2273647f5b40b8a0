import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { Flag } from '../../../processor/state/cpu-state.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { KvmExit } from '../abi/kvm-run.ts';
import { type Kvm, kernelFrame, vmmFrame } from '../kvm.ts';
import type { UserSpace } from '../vm/virtual-machine.ts';

/** HLT (VMX reason 12, SVM 0x78): with the in-kernel interrupt chip the vCPU sleeps in the kernel, no exit to the VMM. */
export function* handleHalt(kvm: Kvm, context: ExitContext): Handler {
  yield stage('kvm-halt.exit', { rip: context.exit.rip });
  yield* inFrame(kernelFrame('kvm_emulate_halt'), emulateHalt(kvm, context));
}

function* emulateHalt(kvm: Kvm, context: ExitContext): Handler {
  const { processor } = context;
  const interruptsOn = (processor.state.rflags & Flag.IF) !== 0;
  if (kvm.vm.userSpace && !kvm.vm.hasIrqchip) {
    yield* inFrame(vmmFrame('KVM_EXIT_HLT'), leaveToVmm(kvm.vm.userSpace, context));
    return;
  }
  processor.performNatively();
  context.result('halted');
  yield stage('kvm-halt.block', {
    interrupts: interruptsOn ? 'on' : 'off: only an NMI or INIT can wake it',
    pending: kvm.apic(context.vcpu).hasInterrupt(),
  });
}

/** Who has the interrupts waits for them. The guest goes on behind HLT. */
function* leaveToVmm(userSpace: UserSpace, context: ExitContext): Handler {
  context.skip();
  context.result('KVM_EXIT_HLT');
  context.record.to = 'device';
  yield stage('kvm-halt.user-space', { exit_reason: KvmExit.HLT });
  userSpace.leave(context, { reason: KvmExit.HLT });
}
