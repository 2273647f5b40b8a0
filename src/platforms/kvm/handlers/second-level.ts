import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { forbiddenAccessEnd } from '../../../hypervisor/partition/ends.ts';
import { describeResolution, resolveViolation } from '../../../hypervisor/second-level/resolve.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';
import { InternalError, KvmExit } from '../abi/kvm-run.ts';
import type { RunExit } from '../api/run.ts';
import { type ExitOf, giveUp as giveUpOn, type Kvm, kernelFrame, vmmFrame } from '../kvm.ts';

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
  const resolution = resolveViolation(secondLevel, dirtyLog, context.exit);
  if (resolution === undefined) {
    yield* inFrame(vmmFrame('KVM_EXIT_MEMORY_FAULT'), giveUp(kvm, context));
    return;
  }
  context.result(describeResolution(resolution));
  yield stage('kvm-second-level.resolved', { resolution: resolution.kind });
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

/** The page-modification log is full: its addresses go into the dirty bitmap. */
export function* handleFullLog(kvm: Kvm, context: ExitContext<ExitOf<'dirty-log'>>): Handler {
  yield stage('kvm-second-level.log-full', { gpa: context.exit.gpa });
  const count = kvm.machine.dirtyLog.drain(context.vcpu);
  context.result(`${count} pages logged, then ${hex(context.exit.gpa)}`);
  yield stage('kvm-second-level.log-drained', { count });
}
