import type { LocalApic } from '../../devices/local-apic/device.ts';
import type { ExitContext } from '../../hypervisor/exits/exit-context.ts';
import type { InterruptSource, Processor } from '../../processor/processor.ts';
import { Flag } from '../../processor/state/cpu-state.ts';
import { INTERRUPTIBILITY } from '../../processor/state/layout.ts';
import type { Kvm } from './kvm.ts';

/** STI and MOV SS shadows. */
const SHADOW = 3;

/**
 * How interrupts reach a guest of KVM. kvm-intel runs with APICv, unless `-virtual-interrupts` is asked for: the processor takes what the local APIC has by itself,
 * only the PIC's interrupts are injected. kvm-amd runs without AVIC: all are injected. What can't be injected at a VM
 * entry, because the guest has interrupts off, waits for an interrupt window exit.
 */
export class KvmInterrupts implements InterruptSource {
  constructor(
    private readonly kvm: Pick<Kvm, 'vendor' | 'hasApicv' | 'vm'>,
    private readonly apic: LocalApic,
    private readonly processor: Processor,
  ) {}

  hasInterrupt(): boolean {
    return this.kvm.vm.hasIrqchip && this.kvm.hasApicv && this.apic.hasInterrupt() && !this.apic.nextIsExternal;
  }
  acknowledge(): number {
    return this.apic.acknowledge();
  }
  getTpr(): number {
    return this.apic.getTpr();
  }
  /** A lower TPR may let a waiting interrupt through: SVM compares with V_TPR by itself, VMX without APICv leaves below a threshold. */
  setTpr(value: number): void {
    this.apic.setTpr(value);
    if (this.kvm.vendor === 'amd' && needsInjection(this.kvm, this.apic)) this.processor.intercepts.interruptWindow = true;
  }
}

function needsInjection({ hasApicv, vm }: Pick<Kvm, 'hasApicv' | 'vm'>, apic: LocalApic): boolean {
  // Without a chip in the kernel, the VMM injects.
  if (!vm.hasIrqchip) return false;
  return hasApicv ? apic.nextIsExternal : apic.hasInterrupt();
}

/** Whether the entry behind an exit finishes its access or delivers its exception: an interrupt must wait until after it. */
function takesEntry(served: ExitContext | undefined): boolean {
  return served !== undefined && (served.exit.reason === 'io' || 'gpa' in served.exit || served.injected);
}

/** What KVM does last before it enters the guest: inject the interrupt that waits, or ask for a window. */
export function injectInterrupt(kvm: Kvm, processor: Processor): void {
  const vcpu = kvm.vcpu(processor.index);
  const { served } = vcpu;
  vcpu.served = undefined;
  const apic = kvm.apic(processor.index);
  if (kvm.vendor === 'intel' && !kvm.hasApicv) processor.intercepts.tprThreshold = tprThreshold(apic);
  // Once a window was asked for, only its exit goes on: when a run is cut into slices must make no difference.
  if (processor.intercepts.interruptWindow || !needsInjection(kvm, apic)) return;
  if (processor.holdInterrupts && !processor.halted) return;
  const { state } = processor;
  // An injection would take the place of a debug trap that waits.
  const blocked = (state.get32(INTERRUPTIBILITY) & SHADOW) !== 0 || processor.pendingDebug !== 0n;
  const open = (state.rflags & Flag.IF) !== 0 && !blocked;
  if (open && !takesEntry(served)) processor.inject({ vector: apic.acknowledge(), type: 'external-interrupt' });
  else processor.intercepts.interruptWindow = true;
}

/** The class of an interrupt that the guest's task priority holds back: it leaves when that goes below (`update_cr8_intercept`). */
function tprThreshold(apic: LocalApic): number {
  const waiting = apic.highestRequest >> 4;
  return waiting > 0 && apic.getTpr() >> 4 >= waiting ? waiting : 0;
}
