import { describeFault } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { internalErrorEnd, tripleFaultEnd } from '../../../hypervisor/partition/ends.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { type Hyperv, parentFrame } from '../hyperv.ts';

/** Triple fault (VMX reason 2, SVM 0x7F): an unrecoverable exception, on which the worker process ends the virtual machine. */
export function* handleTripleFault(hyperv: Hyperv, context: ExitContext<ExitOf<'triple-fault'>>): Handler {
  const { chain, rip } = context.exit;
  const faults = chain.map((fault) => describeFault(fault.vector, fault.errorCode)).join(' → ');
  context.record.to = 'parent';
  context.result('HvMessageTypeUnrecoverableException');
  yield stage('hyperv-triple-fault.exit', { rip, faults });
  yield* inFrame(parentFrame('vmwp.exe', 'HvMessageTypeUnrecoverableException'), stopMachine(hyperv, context));
}

function* stopMachine(hyperv: Hyperv, context: ExitContext<ExitOf<'triple-fault'>>): Handler {
  yield stage('hyperv-triple-fault.stop', { vp: context.vcpu });
  hyperv.machine.finish(tripleFaultEnd(context.vcpu, context.exit.chain, context.exit.rip));
}

/** A VM entry that failed: the hypervisor has made a state that no processor enters. */
export function* handleFailedEntry(hyperv: Hyperv, context: ExitContext<ExitOf<'vm-entry-failure'>>): Handler {
  const { problem } = context.exit;
  yield stage('hyperv-entry.failed', { problem });
  const message = `vCPU ${context.vcpu} was given registers that no processor can run with: ${problem}.`;
  context.result('HvMessageTypeInvalidVpRegisterValue');
  hyperv.machine.finish({ kind: 'crash', status: 126, message });
}

/** An exit that the hypervisor didn't ask for. */
export function* unexpectedExit(hyperv: Hyperv, context: ExitContext): Handler {
  const { reason } = context.exit;
  yield stage('hyperv-unexpected.exit', { reason });
  hyperv.machine.finish(internalErrorEnd(new Error(`Hyper-V has no handler for an exit of reason "${reason}"`)));
}
