import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { ExitOf } from '../../../processor/exit.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import { type Handler, inFrame, stage } from '../../../stages/stage.ts';
import { type Hyperv, hypervisorFrame } from '../hyperv.ts';

type TakenContext = ExitContext<ExitOf<'mmio'> | ExitOf<'second-level-violation'>>;

/** A parent touches a page that it has deposited, or runs code or has page tables in one that it has mapped in a child. */
export function* handleTakenPage(hyperv: Hyperv, context: TakenContext): Handler {
  const { gpa, gva } = context.exit;
  yield stage('hyperv-taken-page.exit', { gpa, gva: gva ?? 'none' });
  yield* inFrame(hypervisorFrame(hyperv, 'refuse access'), refuse(hyperv, context));
}

function* refuse(hyperv: Hyperv, context: TakenContext): Handler {
  const { gpa } = context.exit;
  const isDeposited = hyperv.children.isDeposited(gpa);
  const overlay = hyperv.overlays.at(gpa);
  const why = isDeposited
    ? 'the page is deposited with the hypervisor'
    : overlay
      ? `code and page tables can't be in the ${overlay.name}`
      : "the page is mapped in a child: its parent's code and page tables can't be in it";
  yield stage('hyperv-taken-page.refuse', { deposited: isDeposited, why, becomes: '#GP(0)' });
  context.injectFault(Vector.GP, 0);
  context.result(`#GP(0): ${why}`);
}
