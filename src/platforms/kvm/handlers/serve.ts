import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { VmExit } from '../../../processor/exit.ts';
import type { Handler } from '../../../stages/stage.ts';
import { isTrap, type Kvm } from '../kvm.ts';
import { handleApicAccess } from './apic.ts';
import { handleControlRegister } from './control-register.ts';
import { handleCpuid } from './cpuid.ts';
import { handleHalt } from './halt.ts';
import { handleHypercall } from './hypercall.ts';
import { handleInterruptWindow, handleTprBelowThreshold } from './interrupt-window.ts';
import { handleIo } from './io.ts';
import { handleMmio } from './mmio.ts';
import { handleRdmsr, handleWrmsr } from './msr.ts';
import { handleFullLog, handleMisconfiguration, handleViolation } from './second-level.ts';
import {
  goOn,
  handleFailedEntry,
  handlePreemptionTimer,
  performAsHardware,
  refuseInstruction,
  treatAsNop,
  unexpectedExit,
} from './simple.ts';
import { handleTripleFault } from './triple-fault.ts';

/** Instructions that only leave where somebody wants to see them. */
const GUESTS_OWN: ReadonlySet<string> = new Set(['rdrand', 'rdseed', 'iret', 'int', 'icebp']);

/** The handler of an exit, by its reason. */
export function serve(kvm: Kvm, context: ExitContext): Handler {
  const { exit } = context;
  if (isTrap(exit)) return goOn(context);
  /** The same context, known to be for an exit of this reason. */
  const of = <Exit extends VmExit>(_narrow: Exit) => context as ExitContext<Exit>;
  switch (exit.reason) {
    case 'cpuid':
      return handleCpuid(kvm, of(exit));
    case 'io':
      return handleIo(kvm, of(exit));
    case 'mmio':
      return handleMmio(kvm, of(exit));
    case 'apic':
      return handleApicAccess(kvm, of(exit));
    case 'second-level-violation':
      return handleViolation(kvm, of(exit));
    case 'second-level-misconfiguration':
      return handleMisconfiguration(kvm, of(exit));
    case 'dirty-log':
      return handleFullLog(kvm, of(exit));
    case 'msr-read':
      return handleRdmsr(kvm, of(exit));
    case 'msr-write':
      return handleWrmsr(kvm, of(exit));
    case 'hypercall':
      return handleHypercall(kvm, of(exit));
    case 'interrupt-window':
      return handleInterruptWindow(kvm, context);
    case 'hlt':
      return handleHalt(kvm, context);
    case 'triple-fault':
      return handleTripleFault(kvm, of(exit));
    case 'cr':
      // kvm-amd keeps no shadow of CR4: the guest's reads leave too.
      return exit.access === 'mov-from' || exit.access === 'smsw' ? performAsHardware(context) : handleControlRegister(of(exit));
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
      return handleTprBelowThreshold(kvm, context);
    case 'preemption-timer':
      return handlePreemptionTimer(kvm, context);
    case 'monitor-trap':
      return goOn(context);
    case 'vm-entry-failure':
      return handleFailedEntry(kvm, of(exit));
    case 'monitor':
    case 'mwait':
      return treatAsNop(context);
    case 'vmx':
    case 'svm':
      return GUESTS_OWN.has(exit.instruction) ? performAsHardware(context) : refuseInstruction(context);
    default:
      return unexpectedExit(kvm, context);
  }
}
