/** Exit reasons of struct kvm_run: why KVM_RUN returns to the VMM process (Linux include/uapi/linux/kvm.h). */
export const KvmExit = {
  IO: 2,
  HYPERCALL: 3,
  HLT: 5,
  MMIO: 6,
  SHUTDOWN: 8,
  FAIL_ENTRY: 9,
  INTERNAL_ERROR: 17,
  SYSTEM_EVENT: 24,
  MEMORY_FAULT: 39,
} as const;

export const IO_DIRECTION = { IN: 0, OUT: 1 } as const;

/** Suberrors of KVM_EXIT_INTERNAL_ERROR. */
export const InternalError = { EMULATION: 1, SIMUL_EX: 2, DELIVERY_EV: 3, UNEXPECTED_EXIT: 4 } as const;
