import type { LocalApic } from '../devices/local-apic/device.ts';
import { MSR_TSC_DEADLINE, X2APIC_MSR_BASE, X2APIC_MSR_END } from '../devices/local-apic/registers.ts';
import type { Processor } from '../processor/processor.ts';
import * as L from '../processor/state/layout.ts';

/** True for the MSRs that the local APIC answers: the TSC deadline and the x2APIC registers. */
export function isLocalApicMsr(msr: number): boolean {
  return msr === MSR_TSC_DEADLINE || (msr >= X2APIC_MSR_BASE && msr <= X2APIC_MSR_END);
}

/** Value of such an MSR; undefined means #GP(0). */
export function readLocalApicMsr(apic: LocalApic, msr: number): bigint | undefined {
  return msr === MSR_TSC_DEADLINE ? apic.timer.tscDeadline : apic.readMsr(msr);
}

/** Writes such an MSR; false means #GP(0). */
export function writeLocalApicMsr(apic: LocalApic, msr: number, value: bigint): boolean {
  if (msr !== MSR_TSC_DEADLINE) return apic.writeMsr(msr, value);
  apic.timer.tscDeadline = value;
  return true;
}

const MSR_TSC = 0x10;
const MSR_APIC_BASE = 0x1b;
const MSR_TSC_ADJUST = 0x3b;

/** True for the MSRs that move the TSC, from which deadlines are computed. */
export function movesTsc(msr: number): boolean {
  return msr === MSR_TSC || msr === MSR_TSC_ADJUST;
}

/** True for the processor's own MSRs whose writes a local APIC must hear of. */
export function concernsLocalApic(msr: number): boolean {
  return movesTsc(msr) || msr === MSR_APIC_BASE;
}

/** Has the processor do a WRMSR of such an MSR, and its local APIC follow. */
export function writeBesideLocalApic(processor: Processor, apic: LocalApic, msr: number): void {
  const before = processor.state.get64(L.MSR_APIC_BASE);
  processor.performNatively();
  if (movesTsc(msr)) apic.timer.rearm();
  else apic.baseChanged(before);
}
