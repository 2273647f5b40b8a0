/** KVM's CPUID leaves (Linux Documentation/virt/kvm/x86/cpuid.rst). */

export const SIGNATURE_LEAF = 0x4000_0000;
export const FEATURES_LEAF = 0x4000_0001;
/** TSC and bus frequency, as VMware has it. */
export const TIMING_LEAF = 0x4000_0010;

/** "KVMKVMKVM\0\0\0" in EBX, ECX, EDX. */
export const SIGNATURE = { ebx: 0x4b4d_564b, ecx: 0x564b_4d56, edx: 0x4d } as const;

/** Bits of EAX of the features leaf. */
export const Feature = {
  CLOCKSOURCE: 0,
  NOP_IO_DELAY: 1,
  CLOCKSOURCE2: 3,
  ASYNC_PF: 4,
  STEAL_TIME: 5,
  PV_EOI: 6,
  PV_UNHALT: 7,
  PV_TLB_FLUSH: 9,
  ASYNC_PF_VMEXIT: 10,
  PV_SEND_IPI: 11,
  POLL_CONTROL: 12,
  PV_SCHED_YIELD: 13,
  ASYNC_PF_INT: 14,
  MSI_EXT_DEST_ID: 15,
  HC_MAP_GPA_RANGE: 16,
  MIGRATION_CONTROL: 17,
  CLOCKSOURCE_STABLE: 24,
} as const;

/** What this KVM offers. */
export const OFFERED = [
  Feature.CLOCKSOURCE,
  Feature.NOP_IO_DELAY,
  Feature.CLOCKSOURCE2,
  Feature.ASYNC_PF,
  Feature.STEAL_TIME,
  Feature.PV_EOI,
  Feature.PV_UNHALT,
  Feature.PV_TLB_FLUSH,
  Feature.PV_SEND_IPI,
  Feature.POLL_CONTROL,
  Feature.PV_SCHED_YIELD,
  Feature.ASYNC_PF_INT,
  Feature.CLOCKSOURCE_STABLE,
].reduce<number>((bits, bit) => bits | (1 << bit), 0);
