import { Reg, X2APIC_MSR_BASE } from '../../../devices/local-apic/registers.ts';
import type { Processor } from '../../../processor/processor.ts';
import { Msr } from '../abi/msrs.ts';
import type { Hyperv } from '../hyperv.ts';
import type { MsrGroup } from './msr-group.ts';

const X2APIC_ICR = X2APIC_MSR_BASE + (Reg.ICR_LOW >> 4);
/** Where a page of APIC registers would be doesn't matter: only the offset counts. */
const register = (offset: number): bigint => BigInt(offset);

/** Registers of the local APIC that guests need often, as MSRs: an access leaves the guest once, and nobody has to decode it. */
export class ApicAccess implements MsrGroup {
  readonly msrs = [Msr.EOI, Msr.ICR, Msr.TPR];

  constructor(private readonly hyperv: Pick<Hyperv, 'apic'>) {}

  read({ index }: Processor, msr: number): bigint {
    const apic = this.hyperv.apic(index);
    if (msr === Msr.TPR) return BigInt(apic.getTpr());
    const wide = apic.readMsr(X2APIC_ICR);
    if (wide !== undefined) return wide;
    return (apic.readMmio(register(Reg.ICR_HIGH), 4) << 32n) | apic.readMmio(register(Reg.ICR_LOW), 4);
  }

  write({ index }: Processor, msr: number, value: bigint): boolean {
    const apic = this.hyperv.apic(index);
    switch (msr) {
      case Msr.EOI:
        if (value >> 32n !== 0n) return false;
        apic.endOfInterrupt();
        return true;
      case Msr.TPR:
        if (value >> 8n !== 0n) return false;
        apic.setTpr(Number(value));
        return true;
      default:
        if (apic.writeMsr(X2APIC_ICR, value)) return true;
        apic.writeMmio(register(Reg.ICR_HIGH), 4, value >> 32n);
        apic.writeMmio(register(Reg.ICR_LOW), 4, value & 0xffff_ffffn);
        return true;
    }
  }
}
