import { hexOf, namingMsrs } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import {
  concernsLocalApic,
  isLocalApicMsr,
  movesTsc,
  readLocalApicMsr,
  writeBesideLocalApic,
  writeLocalApicMsr,
} from '../../local-apic-msrs.ts';
import { giveMsr } from '../../register-values.ts';
import { MsrExitReason } from '../abi/flags.ts';
import { KvmExit } from '../abi/kvm-run.ts';
import { MSR_REFERENCE } from '../abi/msrs.ts';
import { type Kvm, kernelFrame } from '../kvm.ts';
import { updateSystemTime } from '../paravirtual/clock.ts';
import { isKvmMsr, readKvmMsr, writeKvmMsr } from '../paravirtual/msrs.ts';

type MsrContext = ExitContext<ExitOf<'msr-read'>> | ExitContext<ExitOf<'msr-write'>>;

const names = new Map(MSR_REFERENCE.map(({ index, name }) => [index, name]));
const nameRequest = namingMsrs((msr) => names.get(msr));

/** RDMSR (VMX reason 31, SVM 0x7C). */
export function* handleRdmsr(kvm: Kvm, context: ExitContext<ExitOf<'msr-read'>>): Handler {
  context.asked(nameRequest);
  yield stage('kvm-msr.read-exit', { msr: context.exit.msr >>> 0 });
  yield* inFrame(kernelFrame('kvm_get_msr_common'), readMsr(kvm, context));
}

function* readMsr(kvm: Kvm, context: ExitContext<ExitOf<'msr-read'>>): Handler {
  const { exit, processor } = context;
  const msr = exit.msr >>> 0;
  const allowed = kvm.vm.msrs.allows(msr, false);
  yield stage('kvm-msr.read-decode', { msr, owner: ownerOf(msr), allowed });
  if (!allowed) {
    yield* inFrame(kernelFrame('kvm_msr_user_space'), refuse(kvm, context, MsrExitReason.FILTER));
    return;
  }
  if (isUnknown(kvm, context)) {
    yield* inFrame(kernelFrame('kvm_msr_user_space'), refuse(kvm, context, MsrExitReason.UNKNOWN));
    return;
  }
  if (ownerOf(msr) === 'processor') {
    const before = processor.icount;
    processor.performNatively();
    if (processor.icount === before) context.result('#GP(0)');
    else context.resultOf(hexOf, (processor.state.gpr(2) << 32n) | processor.state.gpr(0));
  } else {
    const value = isKvmMsr(msr) ? readKvmMsr(kvm, context.vcpu, msr) : readLocalApicMsr(kvm.apic(context.vcpu), msr);
    if (value === undefined) {
      yield* inFrame(kernelFrame('kvm_msr_user_space'), refuse(kvm, context, MsrExitReason.UNKNOWN));
      return;
    }
    giveMsr(processor, value);
    context.skip();
    context.resultOf(hexOf, value);
  }
  yield stage('kvm-msr.read-complete', { msr, result: context.record.result ?? '' });
}

/** WRMSR (VMX reason 32, SVM 0x7C). */
export function* handleWrmsr(kvm: Kvm, context: ExitContext<ExitOf<'msr-write'>>): Handler {
  context.asked(nameRequest);
  yield stage('kvm-msr.write-exit', { msr: context.exit.msr >>> 0, value: context.exit.value });
  yield* inFrame(kernelFrame('kvm_set_msr_common'), writeMsr(kvm, context));
}

function* writeMsr(kvm: Kvm, context: ExitContext<ExitOf<'msr-write'>>): Handler {
  const { exit, processor } = context;
  const msr = exit.msr >>> 0;
  const allowed = kvm.vm.msrs.allows(msr, true);
  yield stage('kvm-msr.write-decode', { msr, value: exit.value, owner: ownerOf(msr), allowed });
  if (!allowed) {
    yield* inFrame(kernelFrame('kvm_msr_user_space'), refuse(kvm, context, MsrExitReason.FILTER));
    return;
  }
  if (isUnknown(kvm, context)) {
    yield* inFrame(kernelFrame('kvm_msr_user_space'), refuse(kvm, context, MsrExitReason.UNKNOWN));
    return;
  }
  if (ownerOf(msr) === 'processor') {
    const before = processor.icount;
    if (concernsLocalApic(msr)) writeBesideLocalApic(processor, kvm.apic(context.vcpu), msr);
    else processor.performNatively();
    context.result(processor.icount === before ? '#GP(0)' : 'ok');
    // The TSC jumped: what is computed from it must follow.
    if (movesTsc(msr)) updateSystemTime(kvm, processor);
  } else {
    const done = isKvmMsr(msr)
      ? writeKvmMsr(kvm, processor, msr, exit.value)
      : writeLocalApicMsr(kvm.apic(context.vcpu), msr, exit.value);
    if (!done) {
      yield* inFrame(kernelFrame('kvm_msr_user_space'), refuse(kvm, context, MsrExitReason.INVAL));
      return;
    }
    context.skip();
    context.result('ok');
  }
  yield stage('kvm-msr.write-complete', { msr, result: context.record.result ?? '' });
}

/** An MSR of nobody, which a VMM may have instead. Without one the processor refuses it. */
function isUnknown({ vm }: Kvm, { exit, processor }: MsrContext): boolean {
  const msr = exit.msr >>> 0;
  return vm.userSpace !== undefined && ownerOf(msr) === 'processor' && processor.model.msr(msr) === undefined;
}

/** An MSR that the guest can't have: a VMM that asked for this decides, else it is #GP(0). `cause`: one of `MsrExitReason`. */
function* refuse(kvm: Kvm, context: MsrContext, cause: number): Handler {
  const { msrs, userSpace } = kvm.vm;
  const { exit } = context;
  const leaves = userSpace !== undefined && (msrs.userSpaceReasons & cause) !== 0;
  yield stage('kvm-msr.refuse', { msr: exit.msr >>> 0, reason: cause, becomes: leaves ? 'an exit to the VMM' : '#GP(0)' });
  if (!leaves) {
    context.injectFault(Vector.GP, 0);
    return;
  }
  const write = exit.reason === 'msr-write';
  const reason = write ? KvmExit.X86_WRMSR : KvmExit.X86_RDMSR;
  context.record.to = 'device';
  context.result(write ? 'KVM_EXIT_X86_WRMSR' : 'KVM_EXIT_X86_RDMSR');
  userSpace.leave(context, { reason, cause, index: exit.msr >>> 0, data: write ? exit.value : 0n, error: 0 });
}

/** Whose register it is: what nobody here knows, the processor refuses. */
function ownerOf(msr: number): 'kvm' | 'local APIC' | 'processor' {
  if (isKvmMsr(msr)) return 'kvm';
  return isLocalApicMsr(msr) ? 'local APIC' : 'processor';
}
