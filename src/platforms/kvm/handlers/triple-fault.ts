import { describeFault } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { tripleFaultEnd } from '../../../hypervisor/partition/ends.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { KvmExit } from '../abi/kvm-run.ts';
import { giveUp, type Kvm, vmmFrame } from '../kvm.ts';

/** Triple fault (VMX reason 2, SVM 0x7F): KVM_RUN returns with KVM_EXIT_SHUTDOWN, and the VMM ends the machine. */
export function* handleTripleFault(kvm: Kvm, context: ExitContext<ExitOf<'triple-fault'>>): Handler {
  const { chain, rip } = context.exit;
  const faults = chain.map((fault) => describeFault(fault.vector, fault.errorCode)).join(' → ');
  context.record.to = 'device';
  context.result('shutdown');
  yield stage('kvm-triple-fault.exit', { rip, faults });
  yield* inFrame(vmmFrame('KVM_EXIT_SHUTDOWN'), shutDown(kvm, context));
}

function* shutDown(kvm: Kvm, context: ExitContext<ExitOf<'triple-fault'>>): Handler {
  yield stage('kvm-triple-fault.shutdown', { exit_reason: KvmExit.SHUTDOWN });
  giveUp(kvm, context, { reason: KvmExit.SHUTDOWN }, tripleFaultEnd(context.vcpu, context.exit.chain, context.exit.rip));
}
