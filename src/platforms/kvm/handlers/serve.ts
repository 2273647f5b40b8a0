import type { ExitContext } from '../../../hypervisor/exits/exit-context.ts';
import type { VmExit } from '../../../processor/exit.ts';
import type { Handler } from '../../../stages/stage.ts';
import { handleControlRegister } from '../../exits/handlers/control-register.ts';
import { handleApicAccess } from '../../exits/handlers/local-apic-page.ts';
import { goOn, servePlain } from '../../exits/handlers/plain.ts';
import { handleFullLog, handlePreemptionTimer } from '../../exits/handlers/processor-services.ts';
import { isPlain, isTrap } from '../../exits/plain-exits.ts';
import { type Kvm, kernelFrame } from '../kvm.ts';
import { handleCpuid } from './cpuid.ts';
import { handleFailedEntry, unexpectedExit } from './give-up.ts';
import { handleHalt } from './halt.ts';
import { handleHypercall } from './hypercall.ts';
import { handleInterruptWindow, handleTprBelowThreshold } from './interrupt-window.ts';
import { handleIo } from './io.ts';
import { handleMmio } from './mmio.ts';
import { handleRdmsr, handleWrmsr } from './msr.ts';
import { handleMisconfiguration, handleViolation } from './second-level.ts';
import { handleTripleFault } from './triple-fault.ts';

const READ_APIC = kernelFrame('apic_mmio_read');
const WRITE_APIC = kernelFrame('apic_mmio_write');

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
      return handleApicAccess(kvm.apic(context.vcpu), exit.write ? WRITE_APIC : READ_APIC, of(exit));
    case 'second-level-violation':
      return handleViolation(kvm, of(exit));
    case 'second-level-misconfiguration':
      return handleMisconfiguration(kvm, of(exit));
    case 'dirty-log':
      return handleFullLog(kvm.machine, of(exit));
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
      return isPlain(exit) ? servePlain(context) : handleControlRegister(kernelFrame(`kvm_set_cr${exit.register}`), of(exit));
    case 'tpr':
      return handleTprBelowThreshold(kvm, context);
    case 'preemption-timer':
      return handlePreemptionTimer(kvm.machine, context);
    case 'vm-entry-failure':
      return handleFailedEntry(kvm, of(exit));
    default:
      return isPlain(exit) ? servePlain(context) : unexpectedExit(kvm, context);
  }
}
