import type { LocalApic } from '../devices/local-apic/device.ts';
import { MSR_TSC_DEADLINE, X2APIC_MSR_BASE, X2APIC_MSR_END } from '../devices/local-apic/registers.ts';

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
