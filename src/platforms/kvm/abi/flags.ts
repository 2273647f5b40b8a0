/** Bits of the structures that KVM's ioctls take (Linux include/uapi/linux/kvm.h, arch/x86/include/uapi/asm/kvm.h). */

/** kvm_userspace_memory_region.flags */
export const MemoryFlag = { LOG_DIRTY_PAGES: 1, READONLY: 2 } as const;

/** kvm_ioeventfd.flags */
export const IoEventFlag = { DATAMATCH: 1, PIO: 2, DEASSIGN: 4, VIRTIO_CCW_NOTIFY: 8 } as const;

/** kvm_irqfd.flags */
export const IrqFdFlag = { DEASSIGN: 1, RESAMPLE: 2 } as const;

/** kvm_irq_routing_entry.type */
export const RoutingType = { IRQCHIP: 1, MSI: 2 } as const;

/** Chips by their numbers in routing entries and in kvm_irqchip. */
export const IrqChip = { PIC_MASTER: 0, PIC_SLAVE: 1, IOAPIC: 2 } as const;
/** Pins of each of them. */
export const CHIP_PINS = [8, 8, 24] as const;
/** Entries that a routing table can have. */
export const MOST_ROUTES = 4096;

/** kvm_guest_debug.control */
export const GuestDebug = {
  ENABLE: 1,
  SINGLESTEP: 2,
  USE_SW_BP: 0x1_0000,
  USE_HW_BP: 0x2_0000,
  INJECT_DB: 0x4_0000,
  INJECT_BP: 0x8_0000,
  BLOCKIRQ: 0x10_0000,
} as const;

/** kvm_mp_state.mp_state */
export const MpState = { RUNNABLE: 0, UNINITIALIZED: 1, INIT_RECEIVED: 2, HALTED: 3, SIPI_RECEIVED: 4 } as const;

/** kvm_vcpu_events.flags */
export const VcpuEventFlag = { NMI_PENDING: 1, SIPI_VECTOR: 2, SHADOW: 4, SMM: 8, PAYLOAD: 0x10 } as const;
/** kvm_vcpu_events.interrupt.shadow */
export const InterruptShadow = { MOV_SS: 1, STI: 2 } as const;

/** kvm_msr_filter.flags and those of its ranges; a range ends with at most so many bits of bitmap. */
export const MsrFilterFlag = { DEFAULT_DENY: 1 } as const;
export const MsrRangeFlag = { READ: 1, WRITE: 2 } as const;
export const MSR_FILTER_RANGES = 16;
/** MSRs in a range: a bitmap has at most 0x600 bytes. */
export const MSR_RANGE_LENGTH = 0x600 * 8;

/** KVM_CAP_X86_USER_SPACE_MSR's argument, and kvm_run.msr.reason */
export const MsrExitReason = { INVAL: 1, UNKNOWN: 2, FILTER: 4 } as const;

/** kvm_cpuid_entry2.flags */
export const CpuidFlag = { SIGNIFICANT_INDEX: 1 } as const;

/** kvm_clock_data.flags */
export const ClockFlag = { TSC_STABLE: 2, REALTIME: 4, HOST_TSC: 8 } as const;
