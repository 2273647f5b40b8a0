import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { internalErrorEnd } from '../../../hypervisor/partition/ends.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { InternalError, KvmExit } from '../abi/kvm-run.ts';
import { type ExitOf, giveUp as giveUpOn, type Kvm, vmmFrame } from '../kvm.ts';

/** VMX's exit reason of an entry that failed (Intel SDM vol. 3, 28.8): 33 with bit 31. */
const INVALID_GUEST_STATE = 0x8000_0021n;

/** An instruction that KVM lets do what it does on bare hardware: MOV DR, RDPMC, XSETBV, WBINVD, task switches … */
export function* performAsHardware(context: ExitContext): Handler {
  const { exit, processor } = context;
  yield stage('kvm-simple.exit', { reason: exit.reason, request: context.record.request });
  const before = processor.icount;
  processor.performNatively();
  context.result(processor.icount === before ? 'fault' : 'ok');
  yield stage('kvm-simple.complete', { result: context.record.result ?? '' });
}

/** Nothing to do: the guest has done it, or only somebody who looks wanted to see it. */
export function* goOn(context: ExitContext): Handler {
  yield stage('kvm-seen.exit', { reason: context.exit.reason, request: context.record.request, rip: context.exit.rip });
  context.result('ok');
}

/** The VMX-preemption timer has counted down. It begins anew: KVM sets it for the next deadline of a guest's timer. */
export function* handlePreemptionTimer({ machine }: Kvm, context: ExitContext): Handler {
  const { processor } = context;
  const ticks = machine.settingsOf(context.vcpu)?.preemptionTimer ?? 0;
  yield stage('kvm-preemption-timer.exit', { rip: context.exit.rip, ticks: BigInt(ticks) });
  processor.preemptionTimer = ticks;
  context.result('ok');
}

/** MONITOR and MWAIT do nothing: a guest could keep a processor of the host with them. */
export function* treatAsNop(context: ExitContext): Handler {
  yield stage('kvm-nop.exit', { reason: context.exit.reason, note: 'emulated as NOP' });
  context.skip();
  context.result('nop');
}

/** VMX and SVM instructions without nested virtualization. */
export function* refuseInstruction(context: ExitContext): Handler {
  yield stage('kvm-nested.refuse', { instruction: context.record.request, note: 'nested virtualization is off' });
  context.injectFault(Vector.UD);
}

/** A VM entry that failed: KVM_RUN returns, and the VMM can only give up. */
export function* handleFailedEntry(kvm: Kvm, context: ExitContext<ExitOf<'vm-entry-failure'>>): Handler {
  yield* inFrame(vmmFrame('KVM_EXIT_FAIL_ENTRY'), failEntry(kvm, context));
}

function* failEntry(kvm: Kvm, context: ExitContext<ExitOf<'vm-entry-failure'>>): Handler {
  const { problem } = context.exit;
  yield stage('kvm-entry.failed', { exit_reason: KvmExit.FAIL_ENTRY, problem });
  const exit = { reason: KvmExit.FAIL_ENTRY, hardwareReason: INVALID_GUEST_STATE, cpu: context.vcpu } as const;
  giveUpOn(kvm, context, exit, internalErrorEnd(new Error(`a VM entry failed: ${problem}`)));
}

/** An exit that KVM didn't ask for. */
export function* unexpectedExit(kvm: Kvm, context: ExitContext): Handler {
  yield* inFrame(vmmFrame('KVM_EXIT_INTERNAL_ERROR'), giveUp(kvm, context));
}

function* giveUp(kvm: Kvm, context: ExitContext): Handler {
  const { reason } = context.exit;
  yield stage('kvm-unexpected.internal-error', {
    exit_reason: KvmExit.INTERNAL_ERROR,
    suberror: InternalError.UNEXPECTED_EXIT,
    reason,
  });
  const exit = { reason: KvmExit.INTERNAL_ERROR, suberror: InternalError.UNEXPECTED_EXIT, data: [] } as const;
  giveUpOn(kvm, context, exit, internalErrorEnd(new Error(`KVM has no handler for an exit of reason "${reason}"`)));
}
