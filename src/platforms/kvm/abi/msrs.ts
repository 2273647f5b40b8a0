/** KVM's own MSRs (Linux Documentation/virt/kvm/x86/msr.rst). */

export const Msr = {
  WALL_CLOCK: 0x4b56_4d00,
  SYSTEM_TIME: 0x4b56_4d01,
  ASYNC_PF_EN: 0x4b56_4d02,
  STEAL_TIME: 0x4b56_4d03,
  EOI_EN: 0x4b56_4d04,
  POLL_CONTROL: 0x4b56_4d05,
  ASYNC_PF_INT: 0x4b56_4d06,
  ASYNC_PF_ACK: 0x4b56_4d07,
  MIGRATION_CONTROL: 0x4b56_4d08,
  /** Numbers of the first kvmclock, which lie in Intel's range. */
  WALL_CLOCK_OLD: 0x11,
  SYSTEM_TIME_OLD: 0x12,
} as const;

/** One row per MSR, for register views and completion. */
export const MSR_REFERENCE: readonly { readonly index: number; readonly name: string; readonly description: string }[] = [
  {
    index: Msr.WALL_CLOCK,
    name: 'MSR_KVM_WALL_CLOCK_NEW',
    description: 'GPA of a structure that receives the wall clock at boot',
  },
  { index: Msr.SYSTEM_TIME, name: 'MSR_KVM_SYSTEM_TIME_NEW', description: 'GPA | 1 of the vCPU’s kvmclock structure' },
  { index: Msr.ASYNC_PF_EN, name: 'MSR_KVM_ASYNC_PF_EN', description: 'asynchronous page faults' },
  { index: Msr.STEAL_TIME, name: 'MSR_KVM_STEAL_TIME', description: 'GPA | 1 of the vCPU’s steal time structure' },
  { index: Msr.EOI_EN, name: 'MSR_KVM_EOI_EN', description: 'GPA | 1 of a word whose bit 0 lets the guest skip an EOI' },
  { index: Msr.POLL_CONTROL, name: 'MSR_KVM_POLL_CONTROL', description: 'bit 0: the host polls before it halts the vCPU' },
  { index: Msr.ASYNC_PF_INT, name: 'MSR_KVM_ASYNC_PF_INT', description: 'vector of "page ready" interrupts' },
  { index: Msr.ASYNC_PF_ACK, name: 'MSR_KVM_ASYNC_PF_ACK', description: 'acknowledges "page ready"' },
  { index: Msr.MIGRATION_CONTROL, name: 'MSR_KVM_MIGRATION_CONTROL', description: 'bit 0: live migration is allowed' },
  { index: Msr.WALL_CLOCK_OLD, name: 'MSR_KVM_WALL_CLOCK', description: 'first number of the wall clock MSR' },
  { index: Msr.SYSTEM_TIME_OLD, name: 'MSR_KVM_SYSTEM_TIME', description: 'first number of the system time MSR' },
];

/** Bit 0 of the MSRs that hold an address. */
export const ENABLED = 1n;

/** struct pvclock_vcpu_time_info, 32 bytes. */
export const VcpuTime = {
  VERSION: 0,
  TSC_TIMESTAMP: 8,
  SYSTEM_TIME: 16,
  TSC_TO_SYSTEM_MUL: 24,
  TSC_SHIFT: 28,
  FLAGS: 29,
  SIZE: 32,
} as const;
export const VcpuTimeFlag = { TSC_STABLE: 1, GUEST_STOPPED: 2 } as const;
/** struct pvclock_wall_clock, 12 bytes. */
export const WallClock = { VERSION: 0, SECONDS: 4, NANOSECONDS: 8, SIZE: 12 } as const;
/** struct kvm_steal_time, 64 bytes, aligned to 64. */
export const StealTime = { STEAL: 0, VERSION: 8, FLAGS: 12, PREEMPTED: 16, SIZE: 64 } as const;
/** Bits of its byte `preempted`: the vCPU doesn't run; another vCPU wants its TLB flushed before it does. */
export const Preempted = { PREEMPTED: 1, FLUSH_TLB: 2 } as const;

/** Bits of MSR_KVM_ASYNC_PF_EN; the rest is the address of its structure. */
export const AsyncPf = { ENABLED: 1n, SEND_ALWAYS: 2n, BY_INTERRUPT: 8n } as const;
/** struct kvm_vcpu_pv_apf_data, 64 bytes, aligned to 64. */
export const AsyncPfArea = { FLAGS: 0, TOKEN: 4, SIZE: 64 } as const;
/** Its flags: the page fault is about a page that isn't there yet. */
export const PAGE_NOT_PRESENT = 1;

/** Scale of a TSC of 1 GHz: ((ticks << 1) * 2^31) >> 32 = ticks. */
export const TSC_MUL = 0x8000_0000;
export const TSC_SHIFT = 1;
