import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { forbiddenAccessEnd } from '../../../hypervisor/partition/ends.ts';
import { describeResolution, resolveViolation } from '../../../hypervisor/second-level/resolve.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { InternalError, KvmExit } from '../abi/kvm-run.ts';
import type { RunExit } from '../api/run.ts';
import { giveUp as giveUpOn, type Kvm, kernelFrame, vmmFrame } from '../kvm.ts';
import { canFaultAsynchronously, faultAsynchronously, PAGE_READ_TICKS, waitForPage } from '../paravirtual/async-pf.ts';

type ViolationContext = ExitContext<ExitOf<'second-level-violation'>>;
type MisconfigurationContext = ExitContext<ExitOf<'second-level-misconfiguration'>>;

/** An access to RAM of the guest that its second-level entry doesn't allow: EPT violation (48) or nested page fault (0x400). */
export function* handleViolation(kvm: Kvm, context: ViolationContext): Handler {
  const { gpa, gva, access, duringWalk } = context.exit;
  yield stage('kvm-second-level.exit', {
    gpa,
    gva: gva ?? 'none',
    access,
    walk: duringWalk,
    qualification: context.record.qualification,
  });
  yield* inFrame(kernelFrame('kvm_mmu_page_fault'), fault(kvm, context));
}

function* fault(kvm: Kvm, context: ViolationContext): Handler {
  const { secondLevel, dirtyLog } = kvm.machine;
  const { state, permissions, withheld } = secondLevel.lookUp(context.exit.gpa);
  yield stage('kvm-second-level.page', { state, ...permissions, withheld });
  if (state === 'paged-out') {
    yield* inFrame(kernelFrame('kvm_faultin_pfn'), readPage(kvm, context));
    return;
  }
  const resolution = resolveViolation(secondLevel, dirtyLog, context.exit);
  if (resolution === undefined) {
    yield* inFrame(vmmFrame('KVM_EXIT_MEMORY_FAULT'), giveUp(kvm, context));
    return;
  }
  context.result(describeResolution(resolution));
  yield stage('kvm-second-level.resolved', { resolution: resolution.kind });
}

/** The host has the page on its disk: the guest does something else meanwhile, where it can, or the vCPU waits. */
function* readPage(kvm: Kvm, context: ViolationContext): Handler {
  const gpa = context.exit.gpa & ~0xfffn;
  const asynchronous = canFaultAsynchronously(kvm, context);
  yield stage('kvm-second-level.paged-out', { gpa, asynchronous, ticks: PAGE_READ_TICKS });
  if (asynchronous) {
    yield* inFrame(kernelFrame('kvm_arch_async_page_not_present'), tellNotPresent(kvm, context, gpa));
    return;
  }
  waitForPage(kvm, context.processor, gpa);
  context.result("read back from the host's disk");
}

function* tellNotPresent(kvm: Kvm, context: ViolationContext, gpa: bigint): Handler {
  const token = faultAsynchronously(kvm, context.processor, gpa);
  context.injected = true;
  context.result(`asynchronous page fault, token ${hex(token)}`);
  yield stage('kvm-second-level.not-present', { gpa, token });
}

/** Entries that KVM didn't misconfigure to find device memory: it gives up on the virtual machine. */
export function* handleMisconfiguration(kvm: Kvm, context: MisconfigurationContext): Handler {
  const { gpa, gva } = context.exit;
  yield stage('kvm-second-level.misconfiguration', { gpa, gva: gva ?? 'none' });
  yield* inFrame(vmmFrame('KVM_EXIT_INTERNAL_ERROR'), giveUp(kvm, context));
}

function* giveUp(kvm: Kvm, context: ViolationContext | MisconfigurationContext): Handler {
  const { exit } = context;
  const end = forbiddenAccessEnd(context.vcpu, exit);
  context.record.to = 'device';
  context.result('forbidden');
  const reason = exit.reason === 'second-level-violation' ? KvmExit.MEMORY_FAULT : KvmExit.INTERNAL_ERROR;
  yield stage('kvm-second-level.give-up', { exit_reason: reason, gpa: exit.gpa, why: end.message });
  giveUpOn(kvm, context, exitOf(exit), end);
}

function exitOf({ reason, gpa }: ViolationContext['exit'] | MisconfigurationContext['exit']): RunExit {
  if (reason === 'second-level-misconfiguration')
    return { reason: KvmExit.INTERNAL_ERROR, suberror: InternalError.UNEXPECTED_EXIT, data: [] };
  return { reason: KvmExit.MEMORY_FAULT, flags: 0n, gpa: gpa & ~0xfffn, size: 0x1000n };
}
