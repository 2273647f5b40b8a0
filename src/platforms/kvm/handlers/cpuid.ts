import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ResultFormat } from '../../../hypervisor/journal/exit-entry.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import type { Processor } from '../../../processor/processor.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { type CpuidValues, giveCpuid } from '../../register-values.ts';
import * as Cpuid from '../abi/cpuid.ts';
import { CpuidFlag } from '../abi/flags.ts';
import type { KvmCpuidEntry } from '../api/registers.ts';
import { type Kvm, kernelFrame } from '../kvm.ts';

const EMULATE = kernelFrame('kvm_emulate_cpuid');

/** Bits of CPUID that say what the operating system has enabled in CR4. */
const OSXSAVE = 1 << 27;
const OSPKE = 1 << 4;
const CR4_OSXSAVE = 1n << 18n;
const CR4_PKE = 1n << 22n;

/** Hypervisor present, TSC-deadline timer. */
export const LEAF_1_ECX = (1 << 31) | (1 << 24);

/** CPUID (VMX reason 10, SVM 0x72): leaves of the processor, plus those that say "this is KVM". */
export function* handleCpuid(kvm: Kvm, context: ExitContext<ExitOf<'cpuid'>>): Handler {
  const { exit } = context;
  yield stage('kvm-cpuid.exit', { leaf: exit.leaf >>> 0, subleaf: exit.subleaf >>> 0, rip: exit.rip });
  yield* inFrame(EMULATE, emulateCpuid(kvm, context));
}

function* emulateCpuid(kvm: Kvm, context: ExitContext<ExitOf<'cpuid'>>): Handler {
  const { exit, processor } = context;
  const leaf = exit.leaf >>> 0;
  const { cpuid } = kvm.vcpu(context.vcpu);
  const own = cpuid ? entryOf(cpuid, leaf, exit.subleaf >>> 0, processor) : hypervisorLeaf(leaf);
  yield stage('kvm-cpuid.lookup', { leaf, source: cpuid ? 'KVM_SET_CPUID2' : own ? 'hypervisor leaf' : 'processor leaf' });
  const { state } = processor;
  if (own) {
    giveCpuid(processor, own);
    context.skip();
  } else {
    processor.performNatively();
    if (leaf === 1) state.setGpr(1, state.gpr(1) | BigInt(LEAF_1_ECX >>> 0));
  }
  const values = { eax: state.gpr(0), ebx: state.gpr(3), ecx: state.gpr(1), edx: state.gpr(2) };
  context.resultOf(fourRegisters, values.eax, values.ebx, values.ecx, values.edx);
  yield stage('kvm-cpuid.complete', values);
}

const fourRegisters: ResultFormat = (...values) => values.map((value) => hex(value)).join(' ');

/** What the VMM has set for a leaf (`kvm_find_cpuid_entry_index`), with the bits that follow the processor's state; zeros for others. */
function entryOf(entries: readonly KvmCpuidEntry[], leaf: number, subleaf: number, { state }: Processor): CpuidValues {
  const found = entries.find(
    (entry) =>
      entry.function >>> 0 === leaf && ((entry.flags & CpuidFlag.SIGNIFICANT_INDEX) === 0 || entry.index >>> 0 === subleaf),
  );
  if (found === undefined) return { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const { eax, ebx, ecx, edx } = found;
  if (leaf === 1) return { eax, ebx, ecx: withBit(ecx, OSXSAVE, (state.cr4 & CR4_OSXSAVE) !== 0n), edx };
  if (leaf === 7 && subleaf === 0) return { eax, ebx, ecx: withBit(ecx, OSPKE, (state.cr4 & CR4_PKE) !== 0n), edx };
  return { eax, ebx, ecx, edx };
}

function withBit(value: number, bit: number, isSet: boolean): number {
  return isSet ? value | bit : value & ~bit;
}

/** KVM's own leaves; undefined for a leaf of the processor. */
export function hypervisorLeaf(leaf: number): CpuidValues | undefined {
  switch (leaf) {
    case Cpuid.SIGNATURE_LEAF:
      return { eax: Cpuid.TIMING_LEAF, ...Cpuid.SIGNATURE };
    case Cpuid.FEATURES_LEAF:
      return { eax: Cpuid.OFFERED, ebx: 0, ecx: 0, edx: 0 };
    case Cpuid.TIMING_LEAF:
      // kHz: 1 tick is 1 ns, and the local APIC's bus runs as fast.
      return { eax: 1_000_000, ebx: 1_000_000, ecx: 0, edx: 0 };
    default:
      return leaf > Cpuid.FEATURES_LEAF && leaf < Cpuid.TIMING_LEAF ? { eax: 0, ebx: 0, ecx: 0, edx: 0 } : undefined;
  }
}
