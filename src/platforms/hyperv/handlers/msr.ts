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
import { syntheticMsr } from '../abi/msrs.ts';
import { type Hyperv, hypervisorFrame } from '../hyperv.ts';

type ReadContext = ExitContext<ExitOf<'msr-read'>>;
type WriteContext = ExitContext<ExitOf<'msr-write'>>;

/** The request of an access to an MSR, for the journal. */
export const nameRequest = namingMsrs((msr) => syntheticMsr(msr)?.name);

/** RDMSR (VMX reason 31, SVM 0x7C). */
export function* handleRdmsr(hyperv: Hyperv, context: ReadContext): Handler {
  context.asked(nameRequest);
  yield stage('hyperv-msr.read-exit', { msr: context.exit.msr >>> 0 });
  yield* inFrame(hypervisorFrame(hyperv, 'read MSR'), readMsr(hyperv, context));
}

function* readMsr(hyperv: Hyperv, context: ReadContext): Handler {
  const { exit, processor } = context;
  const msr = exit.msr >>> 0;
  yield stage('hyperv-msr.read-decode', { msr, owner: ownerOf(hyperv, msr), name: nameOf(msr) });
  if (ownerOf(hyperv, msr) === 'processor') {
    const before = processor.icount;
    processor.performNatively();
    if (processor.icount === before) context.result('#GP(0)');
    else context.resultOf(hexOf, (processor.state.gpr(2) << 32n) | processor.state.gpr(0));
  } else {
    const isOwn = hyperv.msrs.knows(msr);
    const why = isOwn ? hyperv.msrs.refusal(msr, false) : undefined;
    const value = isOwn ? hyperv.msrs.read(processor, msr) : readLocalApicMsr(hyperv.apic(context.vcpu), msr);
    if (value === undefined) {
      yield* inFrame(hypervisorFrame(hyperv, 'inject #GP'), refuse(context, why));
      return;
    }
    giveMsr(processor, value);
    context.skip();
    context.resultOf(hexOf, value);
  }
  yield stage('hyperv-msr.read-complete', { msr, result: context.record.result ?? '' });
}

/** WRMSR (VMX reason 32, SVM 0x7C). */
export function* handleWrmsr(hyperv: Hyperv, context: WriteContext): Handler {
  context.asked(nameRequest);
  yield stage('hyperv-msr.write-exit', { msr: context.exit.msr >>> 0, value: context.exit.value });
  yield* inFrame(hypervisorFrame(hyperv, 'write MSR'), writeMsr(hyperv, context));
}

function* writeMsr(hyperv: Hyperv, context: WriteContext): Handler {
  const { exit, processor } = context;
  const msr = exit.msr >>> 0;
  yield stage('hyperv-msr.write-decode', { msr, value: exit.value, owner: ownerOf(hyperv, msr), name: nameOf(msr) });
  if (ownerOf(hyperv, msr) === 'processor') {
    const before = processor.icount;
    if (concernsLocalApic(msr)) writeBesideLocalApic(processor, hyperv.apic(context.vcpu), msr);
    else processor.performNatively();
    if (movesTsc(msr)) hyperv.tscMoved();
    context.result(processor.icount === before ? '#GP(0)' : 'ok');
  } else {
    const isOwn = hyperv.msrs.knows(msr);
    const why = isOwn ? hyperv.msrs.refusal(msr, true) : undefined;
    const done = isOwn
      ? yield* hyperv.msrs.writeInStages(processor, msr, exit.value)
      : writeLocalApicMsr(hyperv.apic(context.vcpu), msr, exit.value);
    if (!done) {
      yield* inFrame(hypervisorFrame(hyperv, 'inject #GP'), refuse(context, why));
      return;
    }
    context.skip();
    context.result('ok');
  }
  yield stage('hyperv-msr.write-complete', { msr, result: context.record.result ?? '' });
}

/** An MSR that the guest may not have, or a value that it can't have. */
function* refuse(context: ReadContext | WriteContext, why: string | undefined): Handler {
  yield stage('hyperv-msr.refuse', { msr: context.exit.msr >>> 0, why: why ?? 'a value that it cannot have', becomes: '#GP(0)' });
  context.injectFault(Vector.GP, 0);
  if (why !== undefined) context.result(`#GP(0): ${why}`);
}

/** What the TLFS calls it; nothing for one of the processor. */
function nameOf(msr: number): string {
  return syntheticMsr(msr)?.name ?? '';
}

/** Whose register it is: what nobody here knows, the processor refuses. */
function ownerOf(hyperv: Hyperv, msr: number): 'Hyper-V' | 'local APIC' | 'processor' {
  if (hyperv.msrs.knows(msr)) return 'Hyper-V';
  return isLocalApicMsr(msr) ? 'local APIC' : 'processor';
}
