import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { Machine } from '../../../hypervisor/partition/platform.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { type Handler, stage } from '../../../stages/stage.ts';
import { hex } from '../../../x86/address.ts';

/** The VMX-preemption timer has counted down. It begins anew: the host sets it for the next deadline of a guest's timer. */
export function* handlePreemptionTimer(machine: Machine, context: ExitContext): Handler {
  const { processor } = context;
  const ticks = machine.settingsOf(context.vcpu)?.preemptionTimer ?? 0;
  yield stage('preemption-timer.exit', { rip: context.exit.rip, ticks: BigInt(ticks) });
  processor.preemptionTimer = ticks;
  context.result('ok');
}

/** The page-modification log is full: its addresses go into the dirty bitmap. */
export function* handleFullLog({ dirtyLog }: Machine, context: ExitContext<ExitOf<'dirty-log'>>): Handler {
  yield stage('dirty-log.full', { gpa: context.exit.gpa });
  const count = dirtyLog.drain(context.vcpu);
  context.result(`${count} pages logged, then ${hex(context.exit.gpa)}`);
  yield stage('dirty-log.drained', { count });
}
