import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { VmExit } from '../../../processor/exit.ts';
import type { Handler } from '../../../stages/stage.ts';
import type { Hyperv } from '../hyperv.ts';
import { concernsParent } from '../partitions/concerns-parent.ts';
import { handleCpuid } from './cpuid.ts';
import { tellParent } from './guest-parent.ts';
import { handleHypercall } from './hypercall.ts';
import { handleIo } from './io.ts';
import { handleApicAccess, handleMmio } from './mmio.ts';
import { handleRdmsr, handleWrmsr } from './msr.ts';
import { handleFullLog, handleMisconfiguration, handleViolation } from './second-level.ts';
import {
  goOn,
  handleControlRegister,
  handleFailedEntry,
  handleHalt,
  handleInterruptWindow,
  handlePreemptionTimer,
  handleTprBelowThreshold,
  handleTripleFault,
  performAsHardware,
  refuseInstruction,
  treatAsNop,
  unexpectedExit,
} from './simple.ts';
import { handleTakenPage } from './taken-page.ts';

/** Instructions that only leave where somebody wants to see them. */
const GUESTS_OWN: ReadonlySet<string> = new Set(['rdrand', 'rdseed', 'iret', 'int', 'icebp']);

/** The handler of an exit, by its reason. */
export function serve(hyperv: Hyperv, context: ExitContext): Handler {
  const { exit } = context;
  if ((exit.reason === 'cr' || exit.reason === 'msr-write') && exit.trap === true) return goOn(context);
  const { parent } = hyperv;
  if (parent && concernsParent(parent, exit)) return tellParent(hyperv, parent, context);
  /** The same context, known to be for an exit of this reason. */
  const of = <Exit extends VmExit>(_narrow: Exit) => context as ExitContext<Exit>;
  if ((exit.reason === 'mmio' || exit.reason === 'second-level-violation') && hyperv.children.hasTaken(exit.gpa))
    return handleTakenPage(hyperv, of(exit));
  switch (exit.reason) {
    case 'cpuid':
      return handleCpuid(hyperv, of(exit));
    case 'io':
      return handleIo(hyperv, of(exit));
    case 'mmio':
      return handleMmio(hyperv, of(exit));
    case 'apic':
      return handleApicAccess(hyperv, of(exit));
    case 'second-level-violation':
      return handleViolation(hyperv, of(exit));
    case 'second-level-misconfiguration':
      return handleMisconfiguration(hyperv, of(exit));
    case 'dirty-log':
      return handleFullLog(hyperv, of(exit));
    case 'msr-read':
      return handleRdmsr(hyperv, of(exit));
    case 'msr-write':
      return handleWrmsr(hyperv, of(exit));
    case 'hypercall':
      return handleHypercall(hyperv, of(exit));
    case 'interrupt-window':
      return handleInterruptWindow(hyperv, context);
    case 'hlt':
      return handleHalt(hyperv, context);
    case 'triple-fault':
      return handleTripleFault(hyperv, of(exit));
    case 'cr':
      return exit.access === 'mov-from' || exit.access === 'smsw'
        ? performAsHardware(context)
        : handleControlRegister(hyperv, of(exit));
    case 'dr':
    case 'rdpmc':
    case 'xsetbv':
    case 'wbinvd':
    case 'invlpg':
    case 'pause':
    case 'task-switch':
    case 'rdtsc':
    case 'descriptor-table':
      return performAsHardware(context);
    case 'tpr':
      return handleTprBelowThreshold(hyperv, context);
    case 'preemption-timer':
      return handlePreemptionTimer(hyperv, context);
    case 'monitor-trap':
      return goOn(context);
    case 'vm-entry-failure':
      return handleFailedEntry(hyperv, of(exit));
    case 'monitor':
    case 'mwait':
      return treatAsNop(context);
    case 'vmx':
    case 'svm':
      return GUESTS_OWN.has(exit.instruction) ? performAsHardware(context) : refuseInstruction(context);
    default:
      return unexpectedExit(hyperv, context);
  }
}
