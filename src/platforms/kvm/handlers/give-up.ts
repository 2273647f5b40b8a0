import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { internalErrorEnd } from '../../../hypervisor/partition/ends.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { InternalError, KvmExit } from '../abi/kvm-run.ts';
import { giveUp as giveUpOn, type Kvm, vmmFrame } from '../kvm.ts';

/** VMX's exit reason of an entry that failed (Intel SDM vol. 3, 28.8): 33 with bit 31. */
const INVALID_GUEST_STATE = 0x8000_0021n;

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
