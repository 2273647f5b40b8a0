import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ResultFormat } from '../../../hypervisor/journal/exit-entry.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { giveCpuid } from '../../register-values.ts';
import { hypervisorLeaf, INVARIANT_TSC, LEAF_1_ECX, POWER_LEAF } from '../cpuid.ts';
import { type Hyperv, hypervisorFrame } from '../hyperv.ts';

type CpuidContext = ExitContext<ExitOf<'cpuid'>>;

/** CPUID (VMX reason 10, SVM 0x72): leaves of the processor, plus those that say "this is Hyper-V". */
export function* handleCpuid(hyperv: Hyperv, context: CpuidContext): Handler {
  const { exit } = context;
  yield stage('hyperv-cpuid.exit', { leaf: exit.leaf >>> 0, subleaf: exit.subleaf >>> 0, rip: exit.rip });
  yield* inFrame(hypervisorFrame(hyperv, 'virtualize CPUID'), virtualize(hyperv, context));
}

function* virtualize(hyperv: Hyperv, context: CpuidContext): Handler {
  const { exit, processor } = context;
  const leaf = exit.leaf >>> 0;
  const own = hypervisorLeaf(hyperv, leaf);
  yield stage('hyperv-cpuid.lookup', { leaf, source: own ? 'hypervisor leaf' : 'processor leaf' });
  const { state } = processor;
  if (own) {
    giveCpuid(processor, own);
    context.skip();
  } else {
    processor.performNatively();
    if (leaf === 1) state.setGpr(1, state.gpr(1) | BigInt(LEAF_1_ECX >>> 0));
    // Only who may ask for it and has sees that the TSC is invariant.
    if (leaf === POWER_LEAF && !hyperv.showsInvariantTsc) state.setGpr(2, state.gpr(2) & ~BigInt(INVARIANT_TSC));
  }
  const values = { eax: state.gpr(0), ebx: state.gpr(3), ecx: state.gpr(1), edx: state.gpr(2) };
  context.resultOf(fourRegisters, values.eax, values.ebx, values.ecx, values.edx);
  yield stage('hyperv-cpuid.complete', values);
}

const fourRegisters: ResultFormat = (...values) => values.map((value) => hex(value)).join(' ');
