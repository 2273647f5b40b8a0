import { hex } from '../../../x86/address.ts';
import { MSR_FILTER_RANGES, MSR_RANGE_LENGTH, MsrFilterFlag, MsrRangeFlag } from '../abi/flags.ts';
import { KvmError } from '../api/errors.ts';
import type { MsrFilter } from '../api/vm.ts';

/** The x2APIC's MSRs, which no filter covers. */
const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;

/** Which MSRs the guest of a virtual machine reaches (Linux arch/x86/kvm/x86.c, `kvm_msr_allowed`). */
export class MsrFiltering {
  private filter: MsrFilter | undefined;
  /** KVM_CAP_X86_USER_SPACE_MSR: bits of `MsrExitReason` that leave to the VMM instead of #GP. */
  userSpaceReasons = 0;

  /** KVM_X86_SET_MSR_FILTER. */
  set(filter: MsrFilter): void {
    const fail = (why: string) => new KvmError('EINVAL', why);
    if (filter.flags & ~MsrFilterFlag.DEFAULT_DENY) throw fail(`An MSR filter has unknown flags: ${hex(filter.flags)}`);
    if (filter.ranges.length > MSR_FILTER_RANGES) throw fail(`An MSR filter has at most ${MSR_FILTER_RANGES} ranges`);
    const ranges = filter.ranges.filter(({ count }) => count > 0);
    for (const { flags, base, count, bitmap } of ranges) {
      if (flags & ~(MsrRangeFlag.READ | MsrRangeFlag.WRITE))
        throw fail(`The range at ${hex(base)} has unknown flags: ${hex(flags)}`);
      if (count > MSR_RANGE_LENGTH || bitmap.length * 8 < count)
        throw fail(`The range at ${hex(base)} has ${count} MSRs, for which its bitmap has no room`);
    }
    if (ranges.length === 0 && filter.flags & MsrFilterFlag.DEFAULT_DENY)
      throw fail('An MSR filter that denies all needs at least one range');
    this.filter = ranges.length === 0 ? undefined : { flags: filter.flags, ranges };
  }

  /** Whether the guest may do that. */
  allows(msr: number, write: boolean): boolean {
    if (this.filter === undefined || (msr >= X2APIC_FIRST && msr <= X2APIC_LAST)) return true;
    const wanted = write ? MsrRangeFlag.WRITE : MsrRangeFlag.READ;
    for (const { flags, base, count, bitmap } of this.filter.ranges)
      if (flags & wanted && msr >= base && msr < base + count) {
        const bit = msr - base;
        return (((bitmap[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1;
      }
    return !(this.filter.flags & MsrFilterFlag.DEFAULT_DENY);
  }
}
