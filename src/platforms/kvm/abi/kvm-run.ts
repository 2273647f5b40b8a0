/** Exit reasons of struct kvm_run: why KVM_RUN returns to the VMM process (Linux include/uapi/linux/kvm.h). */
export const KvmExit = {
  UNKNOWN: 0,
  EXCEPTION: 1,
  IO: 2,
  HYPERCALL: 3,
  DEBUG: 4,
  HLT: 5,
  MMIO: 6,
  IRQ_WINDOW_OPEN: 7,
  SHUTDOWN: 8,
  FAIL_ENTRY: 9,
  INTR: 10,
  SET_TPR: 11,
  TPR_ACCESS: 12,
  NMI: 16,
  INTERNAL_ERROR: 17,
  SYSTEM_EVENT: 24,
  IOAPIC_EOI: 26,
  HYPERV: 27,
  X86_RDMSR: 29,
  X86_WRMSR: 30,
  DIRTY_RING_FULL: 31,
  X86_BUS_LOCK: 33,
  XEN: 34,
  NOTIFY: 37,
  MEMORY_FAULT: 39,
} as const;

export const IO_DIRECTION = { IN: 0, OUT: 1 } as const;

/** Suberrors of KVM_EXIT_INTERNAL_ERROR. */
export const InternalError = { EMULATION: 1, SIMUL_EX: 2, DELIVERY_EV: 3, UNEXPECTED_EXIT: 4 } as const;

/** Bytes that are mapped of a vCPU: struct kvm_run, the page of port data, the page of coalesced MMIO. */
export const VCPU_MMAP_SIZE = 0x3000;
