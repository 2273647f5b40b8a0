import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import { type Handler, stage } from '../../../stages/stage.ts';
import type { ExitOf, Hyperv } from '../hyperv.ts';

/** VMCALL (VMX reason 18) and VMMCALL (SVM 0x81), from the hypercall page or from anywhere else. */
export function* handleHypercall(hyperv: Hyperv, context: ExitContext<ExitOf<'hypercall'>>): Handler {
  const { exit, processor } = context;
  yield stage('hyperv-hypercall.exit', { instruction: exit.instruction, cpl: processor.cpl, partition: hyperv.partitionId });
  context.injectFault(Vector.UD);
}
