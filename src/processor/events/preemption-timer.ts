/**
 * VMX's preemption timer (Intel SDM vol. 3, 26.5.1). It counts ticks of the time-stamp counter, as IA32_VMX_MISC[4:0] = 0 has it, from each
 * VM entry on and as long as the vCPU is in the guest, also in HLT.
 */
export class PreemptionTimer {
  /** What it counts down from at the next entry, 0 to 2^32-1: the field of the VMCS. */
  value = 0;
  private end: bigint | undefined;

  /** When it expires, in the vCPU's ticks; undefined while it doesn't run. */
  get deadline(): bigint | undefined {
    return this.end;
  }

  /** The vCPU enters the guest, or goes on in it. */
  enter(isActive: boolean, ticks: bigint): void {
    if (!isActive) this.end = undefined;
    else this.end ??= ticks + BigInt(this.value);
  }

  /** The vCPU leaves the guest: with "Save VMX-preemption timer value" the next entry goes on where the timer stands. */
  leave(saves: boolean, ticks: bigint): void {
    if (this.end !== undefined && saves) this.value = this.end > ticks ? Number(this.end - ticks) : 0;
    this.end = undefined;
  }
}
