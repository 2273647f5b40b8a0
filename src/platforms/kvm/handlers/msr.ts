import { hexOf } from '../../../hypervisor/exits/describe.ts';
import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
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
import { type ExitOf, giveMsr, type Kvm, kernelFrame } from '../kvm.ts';
import { updateSystemTime } from '../paravirtual/clock.ts';
import { isKvmMsr, readKvmMsr, writeKvmMsr } from '../paravirtual/msrs.ts';

/** RDMSR (VMX reason 31, SVM 0x7C). */
export function* handleRdmsr(kvm: Kvm, context: ExitContext<ExitOf<'msr-read'>>): Handler {
  yield stage('kvm-msr.read-exit', { msr: context.exit.msr >>> 0 });
  yield* inFrame(kernelFrame('kvm_get_msr_common'), readMsr(kvm, context));
}

function* readMsr(kvm: Kvm, context: ExitContext<ExitOf<'msr-read'>>): Handler {
  const { exit, processor } = context;
  const msr = exit.msr >>> 0;
  yield stage('kvm-msr.read-decode', { msr, owner: ownerOf(msr) });
  if (ownerOf(msr) === 'processor') {
    const before = processor.icount;
    processor.performNatively();
    if (processor.icount === before) context.result('#GP(0)');
    else context.resultOf(hexOf, (processor.state.gpr(2) << 32n) | processor.state.gpr(0));
  } else {
    const value = isKvmMsr(msr) ? readKvmMsr(kvm, context.vcpu, msr) : readLocalApicMsr(kvm.apic(context.vcpu), msr);
    if (value === undefined) context.injectFault(Vector.GP, 0);
    else {
      giveMsr(processor, value);
      context.skip();
      context.resultOf(hexOf, value);
    }
  }
  yield stage('kvm-msr.read-complete', { msr, result: context.record.result ?? '' });
}

/** WRMSR (VMX reason 32, SVM 0x7C). */
export function* handleWrmsr(kvm: Kvm, context: ExitContext<ExitOf<'msr-write'>>): Handler {
  yield stage('kvm-msr.write-exit', { msr: context.exit.msr >>> 0, value: context.exit.value });
  yield* inFrame(kernelFrame('kvm_set_msr_common'), writeMsr(kvm, context));
}

function* writeMsr(kvm: Kvm, context: ExitContext<ExitOf<'msr-write'>>): Handler {
  const { exit, processor } = context;
  const msr = exit.msr >>> 0;
  yield stage('kvm-msr.write-decode', { msr, value: exit.value, owner: ownerOf(msr) });
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
    if (done) {
      context.skip();
      context.result('ok');
    } else context.injectFault(Vector.GP, 0);
  }
  yield stage('kvm-msr.write-complete', { msr, result: context.record.result ?? '' });
}

/** Whose register it is: what nobody here knows, the processor refuses. */
function ownerOf(msr: number): 'kvm' | 'local APIC' | 'processor' {
  if (isKvmMsr(msr)) return 'kvm';
  return isLocalApicMsr(msr) ? 'local APIC' : 'processor';
}
