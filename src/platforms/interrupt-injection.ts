import type { LocalApic } from '../devices/local-apic/device.ts';
import type { ExitContext } from '../hypervisor/exits/exit-context.ts';
import type { InterruptSource, Processor } from '../processor/processor.ts';
import { Flag } from '../processor/state/cpu-state.ts';
import { INTERRUPTIBILITY } from '../processor/state/layout.ts';

/** How a hypervisor gives interrupts to its guests. */
export interface Injection {
  readonly vendor: 'intel' | 'amd';
  /** The processor takes interrupts from the local APIC by itself. */
  readonly hasApicv: boolean;
  /** The hypervisor has the interrupt chips. Without them somebody else injects. */
  readonly hasIrqchip: boolean;
}

/** A local APIC as its interrupts are given to the guest. */
export type InjectedApic = Pick<
  LocalApic,
  'acknowledge' | 'getTpr' | 'setTpr' | 'hasInterrupt' | 'nextIsExternal' | 'highestRequest'
>;

/** STI and MOV SS shadows. */
const SHADOW = 3;

/**
 * How interrupts reach a guest. On Intel's processors with APICv the processor takes what the local APIC has by itself, and only the PIC's
 * interrupts are injected; otherwise all are. What can't be injected at a VM entry, because the guest has interrupts off, waits for an
 * interrupt window exit.
 */
export class VirtualInterrupts implements InterruptSource {
  constructor(
    private readonly injection: Injection,
    private readonly apic: InjectedApic,
    private readonly processor: Processor,
  ) {}

  hasInterrupt(): boolean {
    const { hasIrqchip, hasApicv } = this.injection;
    return hasIrqchip && hasApicv && this.apic.hasInterrupt() && !this.apic.nextIsExternal;
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
    if (this.injection.vendor === 'amd' && needsInjection(this.injection, this.apic))
      this.processor.intercepts.interruptWindow = true;
  }
}

function needsInjection({ hasApicv, hasIrqchip }: Injection, apic: InjectedApic): boolean {
  if (!hasIrqchip) return false;
  return hasApicv ? apic.nextIsExternal : apic.hasInterrupt();
}

/** Whether the entry behind an exit finishes its access or delivers its exception: an interrupt must wait until after it. */
function takesEntry(served: ExitContext | undefined): boolean {
  return served !== undefined && (served.exit.reason === 'io' || 'gpa' in served.exit || served.injected);
}

/**
 * What a hypervisor does last before it enters the guest: inject the interrupt that waits, or ask for a window. `served`: the exit that
 * this entry is behind, if it is.
 */
export function injectInterrupt(
  injection: Injection,
  apic: InjectedApic,
  processor: Processor,
  served: ExitContext | undefined,
): void {
  if (injection.vendor === 'intel' && !injection.hasApicv) processor.intercepts.tprThreshold = tprThreshold(apic);
  // Once a window was asked for, only its exit goes on: when a run is cut into slices must make no difference.
  if (processor.intercepts.interruptWindow || !needsInjection(injection, apic)) return;
  if (processor.holdInterrupts && !processor.halted) return;
  const { state } = processor;
  // An injection would take the place of a debug trap that waits, or of an event that somebody else has injected.
  const blocked = (state.get32(INTERRUPTIBILITY) & SHADOW) !== 0 || processor.pendingDebug !== 0n;
  const open = (state.rflags & Flag.IF) !== 0 && !blocked;
  if (open && !takesEntry(served) && processor.injected === undefined)
    processor.inject({ vector: apic.acknowledge(), type: 'external-interrupt' });
  else processor.intercepts.interruptWindow = true;
}

/** The class of an interrupt that the guest's task priority holds back: it leaves when that goes below. */
function tprThreshold(apic: InjectedApic): number {
  const waiting = apic.highestRequest >> 4;
  return waiting > 0 && apic.getTpr() >> 4 >= waiting ? waiting : 0;
}
