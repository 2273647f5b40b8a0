import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { KvmExit } from '../abi/kvm-run.ts';
import { type Kvm, kernelFrame } from '../kvm.ts';

/** The guest can take an interrupt now (VMX reason 7, SVM 0x64 VINTR). It is injected at the entry that follows. */
export function* handleInterruptWindow(kvm: Kvm, context: ExitContext): Handler {
  context.processor.intercepts.interruptWindow = false;
  yield stage('kvm-interrupt-window.exit', { rip: context.exit.rip });
  yield* inFrame(kernelFrame('kvm_make_request(KVM_REQ_EVENT)'), requestEvent(kvm, context));
}

/** The task priority has gone below the threshold (VMX reason 43): an interrupt that it held back can be injected. */
export function* handleTprBelowThreshold(kvm: Kvm, context: ExitContext): Handler {
  yield stage('kvm-tpr.exit', { tpr: kvm.apic(context.vcpu).getTpr(), threshold: context.processor.intercepts.tprThreshold });
  yield* inFrame(kernelFrame('kvm_make_request(KVM_REQ_EVENT)'), requestEvent(kvm, context));
}

function* requestEvent(kvm: Kvm, context: ExitContext): Handler {
  const pending = kvm.vm.hasIrqchip && kvm.apic(context.vcpu).hasInterrupt();
  context.result(pending ? 'interrupt to be injected' : 'nothing waits any more');
  yield stage('kvm-interrupt-window.request', { pending });
  if (!kvm.vm.hasIrqchip && kvm.vm.userSpace) kvm.vm.userSpace.leave(context, { reason: KvmExit.IRQ_WINDOW_OPEN });
}
