import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import { Vector } from '../../../processor/faults/guest-fault.ts';
import { type Handler, stage } from '../../../stages/stage.ts';

/** Instructions of VMX and SVM that only leave where somebody wants to see them: they are the guest's own. */
const GUESTS_OWN: ReadonlySet<string> = new Set(['rdrand', 'rdseed', 'iret', 'int', 'icebp']);

/**
 * The handler of an exit that hypervisors serve alike, because the instruction is the guest's own affair, or nobody's. The caller has
 * asked `isPlain`.
 */
export function servePlain(context: ExitContext): Handler {
  const { exit } = context;
  switch (exit.reason) {
    case 'monitor':
    case 'mwait':
      return treatAsNop(context);
    case 'vmx':
    case 'svm':
      return GUESTS_OWN.has(exit.instruction) ? performAsHardware(context) : refuseInstruction(context);
    case 'monitor-trap':
      return goOn(context);
    default:
      return performAsHardware(context);
  }
}

/** An instruction that may do what it does on bare hardware: MOV DR, RDPMC, XSETBV, WBINVD, task switches … */
export function* performAsHardware(context: ExitContext): Handler {
  const { exit, processor } = context;
  yield stage('as-hardware.exit', { reason: exit.reason, request: context.record.request });
  const before = processor.icount;
  processor.performNatively();
  context.result(processor.icount === before ? 'fault' : 'ok');
  yield stage('as-hardware.complete', { result: context.record.result ?? '' });
}

/** Nothing to do: the guest has done it, or only somebody who looks wanted to see it. */
export function* goOn(context: ExitContext): Handler {
  yield stage('seen.exit', { reason: context.exit.reason, request: context.record.request, rip: context.exit.rip });
  context.result('ok');
}

/** MONITOR and MWAIT do nothing: a guest could keep a processor of the host with them. */
export function* treatAsNop(context: ExitContext): Handler {
  yield stage('nop.exit', { reason: context.exit.reason, note: 'emulated as NOP' });
  context.skip();
  context.result('nop');
}

/** VMX and SVM instructions without nested virtualization. */
export function* refuseInstruction(context: ExitContext): Handler {
  yield stage('nested.refuse', { instruction: context.record.request, note: 'nested virtualization is off' });
  context.injectFault(Vector.UD);
}
