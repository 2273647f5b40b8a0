import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { VmExit } from '../../../processor/exit.ts';
import type { Handler } from '../../../stages/stage.ts';
import { handleControlRegister } from '../../exits/handlers/control-register.ts';
import { handleApicAccess } from '../../exits/handlers/local-apic-page.ts';
import { goOn, servePlain } from '../../exits/handlers/plain.ts';
import { handleFullLog, handlePreemptionTimer } from '../../exits/handlers/processor-services.ts';
import { isPlain, isTrap } from '../../exits/plain-exits.ts';
import { type Hyperv, hypervisorFrame } from '../hyperv.ts';
import { concernsParent } from '../partitions/concerns-parent.ts';
import { handleCpuid } from './cpuid.ts';
import { handleDoorbell } from './doorbell.ts';
import { handleFailedEntry, handleTripleFault, unexpectedExit } from './give-up.ts';
import { tellParent } from './guest-parent.ts';
import { handleHypercall } from './hypercall.ts';
import { handleHalt, handleInterruptWindow, handleTprBelowThreshold } from './interrupts.ts';
import { handleIo } from './io.ts';
import { handleMmio } from './mmio.ts';
import { handleRdmsr, handleWrmsr } from './msr.ts';
import { handleMisconfiguration, handleViolation } from './second-level.ts';
import { handleTakenPage } from './taken-page.ts';

/** The handler of an exit, by its reason. */
export function serve(hyperv: Hyperv, context: ExitContext): Handler {
  const { exit } = context;
  if (isTrap(exit)) return goOn(context);
  const { parent } = hyperv;
  /** The same context, known to be for an exit of this reason. */
  const of = <Exit extends VmExit>(_narrow: Exit) => context as ExitContext<Exit>;
  if (parent && exit.reason === 'mmio' && exit.write) {
    const doorbell = hyperv.doorbells.find(exit.gpa, exit.size, exit.value);
    if (doorbell) return handleDoorbell(hyperv, parent, of(exit), doorbell);
  }
  if ((exit.reason === 'mmio' || exit.reason === 'second-level-violation') && hyperv.children.hasTaken(exit.gpa))
    return handleTakenPage(hyperv, of(exit));
  if (parent && concernsParent(parent, exit)) return tellParent(hyperv, parent, context);
  switch (exit.reason) {
    case 'cpuid':
      return handleCpuid(hyperv, of(exit));
    case 'io':
      return handleIo(hyperv, of(exit));
    case 'mmio':
      return handleMmio(hyperv, of(exit));
    case 'apic':
      return handleApicAccess(
        hyperv.apic(context.vcpu),
        hypervisorFrame(hyperv, exit.write ? 'write local APIC' : 'read local APIC'),
        of(exit),
      );
    case 'second-level-violation':
      return handleViolation(hyperv, of(exit));
    case 'second-level-misconfiguration':
      return handleMisconfiguration(hyperv, of(exit));
    case 'dirty-log':
      return handleFullLog(hyperv.machine, of(exit));
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
      return isPlain(exit)
        ? servePlain(context)
        : handleControlRegister(hypervisorFrame(hyperv, `set CR${exit.register}`), of(exit));
    case 'tpr':
      return handleTprBelowThreshold(hyperv, context);
    case 'preemption-timer':
      return handlePreemptionTimer(hyperv.machine, context);
    case 'vm-entry-failure':
      return handleFailedEntry(hyperv, of(exit));
    default:
      return isPlain(exit) ? servePlain(context) : unexpectedExit(hyperv, context);
  }
}
