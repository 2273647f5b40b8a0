import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { Flag } from '../../../processor/state/cpu-state.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { type Hyperv, hypervisorFrame } from '../hyperv.ts';

/** HLT (VMX reason 12, SVM 0x78): the virtual processor waits in the hypervisor until an interrupt comes. */
export function* handleHalt(hyperv: Hyperv, context: ExitContext): Handler {
  yield stage('hyperv-halt.exit', { rip: context.exit.rip });
  yield* inFrame(hypervisorFrame(hyperv, 'halt virtual processor'), halt(hyperv, context));
}

function* halt(hyperv: Hyperv, context: ExitContext): Handler {
  const { processor } = context;
  const interruptsOn = (processor.state.rflags & Flag.IF) !== 0;
  processor.performNatively();
  context.result('halted');
  yield stage('hyperv-halt.block', {
    interrupts: interruptsOn ? 'on' : 'off: only an NMI or INIT can wake it',
    pending: hyperv.apic(context.vcpu).hasInterrupt(),
  });
}

/** The guest can take an interrupt now (VMX reason 7, SVM 0x64 VINTR). It is injected at the entry that follows. */
export function* handleInterruptWindow(hyperv: Hyperv, context: ExitContext): Handler {
  context.processor.intercepts.interruptWindow = false;
  const pending = hyperv.apic(context.vcpu).hasInterrupt();
  context.result(pending ? 'interrupt to be injected' : 'nothing waits any more');
  yield stage('hyperv-interrupt-window.exit', { rip: context.exit.rip, pending });
}

/** The task priority has gone below the threshold (VMX reason 43): an interrupt that it held back can be injected. */
export function* handleTprBelowThreshold(hyperv: Hyperv, context: ExitContext): Handler {
  const apic = hyperv.apic(context.vcpu);
  context.result(apic.hasInterrupt() ? 'interrupt to be injected' : 'nothing waits any more');
  yield stage('hyperv-tpr.exit', { tpr: apic.getTpr(), threshold: context.processor.intercepts.tprThreshold });
}
