import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { forbiddenAccessEnd } from '../../../hypervisor/partition/ends.ts';
import { describeResolution, resolveViolation } from '../../../hypervisor/second-level/resolve.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { type Hyperv, hypervisorFrame, parentFrame } from '../hyperv.ts';
import { refusedOverlay } from '../overlay/refused-write.ts';

type ViolationContext = ExitContext<ExitOf<'second-level-violation'>>;
type MisconfigurationContext = ExitContext<ExitOf<'second-level-misconfiguration'>>;

/** An access to RAM that its second-level entry doesn't allow: EPT violation (48) or nested page fault (0x400). */
export function* handleViolation(hyperv: Hyperv, context: ViolationContext): Handler {
  const { gpa, gva, access, duringWalk } = context.exit;
  const { qualification } = context.record;
  yield stage('hyperv-second-level.exit', { gpa, gva: gva ?? 'none', access, walk: duringWalk, qualification });
  yield* inFrame(hypervisorFrame(hyperv, 'GPA fault'), fault(hyperv, context));
}

function* fault(hyperv: Hyperv, context: ViolationContext): Handler {
  const { secondLevel, dirtyLog } = hyperv.machine;
  const { state, permissions, withheld } = secondLevel.lookUp(context.exit.gpa);
  yield stage('hyperv-second-level.page', { state, ...permissions, withheld });
  if (state === 'paged-out') {
    secondLevel.pageIn(context.exit.gpa & ~0xfffn);
    context.result("read back from the host's disk");
    return;
  }
  const overlay = refusedOverlay(hyperv.overlays, context.exit);
  if (overlay) {
    yield stage('hyperv-second-level.overlay', { page: overlay.name, becomes: '#GP(0)' });
    context.injectFault(Vector.GP, 0);
    context.result(`#GP(0): the ${overlay.name} cannot be written`);
    return;
  }
  const resolution = resolveViolation(secondLevel, dirtyLog, context.exit);
  if (resolution === undefined) {
    yield* inFrame(parentFrame('vmwp.exe', 'stop the virtual machine'), giveUp(hyperv, context));
    return;
  }
  context.result(describeResolution(resolution));
  yield stage('hyperv-second-level.resolved', { resolution: resolution.kind });
}

/** An entry that the hypervisor didn't misconfigure on purpose. */
export function* handleMisconfiguration(hyperv: Hyperv, context: MisconfigurationContext): Handler {
  const { gpa, gva } = context.exit;
  yield stage('hyperv-second-level.misconfiguration', { gpa, gva: gva ?? 'none' });
  yield* inFrame(parentFrame('vmwp.exe', 'stop the virtual machine'), giveUp(hyperv, context));
}

function* giveUp(hyperv: Hyperv, context: ViolationContext | MisconfigurationContext): Handler {
  const { exit } = context;
  const end = forbiddenAccessEnd(context.vcpu, exit);
  context.record.to = 'parent';
  context.result('forbidden');
  yield stage('hyperv-second-level.give-up', { gpa: exit.gpa, why: end.message });
  hyperv.machine.finish(end);
}
