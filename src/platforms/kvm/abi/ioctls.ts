/** Request numbers of KVM's ioctls on x86-64 (Linux include/uapi/linux/kvm.h), by the file descriptor that they are made on. */

/** On /dev/kvm. */
export const SystemIoctl = {
  GET_API_VERSION: 0xae00,
  CREATE_VM: 0xae01,
  GET_MSR_INDEX_LIST: 0xc004_ae02,
  CHECK_EXTENSION: 0xae03,
  GET_VCPU_MMAP_SIZE: 0xae04,
  GET_SUPPORTED_CPUID: 0xc008_ae05,
} as const;

/** On a virtual machine. */
export const VmIoctl = {
  CREATE_VCPU: 0xae41,
  GET_DIRTY_LOG: 0x4010_ae42,
  CLEAR_DIRTY_LOG: 0xc018_aec0,
  SET_USER_MEMORY_REGION: 0x4020_ae46,
  CREATE_IRQCHIP: 0xae60,
  IRQ_LINE: 0x4008_ae61,
  GET_IRQCHIP: 0xc208_ae62,
  SET_IRQCHIP: 0x8208_ae63,
  SET_GSI_ROUTING: 0x4008_ae6a,
  IRQFD: 0x4020_ae76,
  CREATE_PIT2: 0x4040_ae77,
  IOEVENTFD: 0x4040_ae79,
  SET_CLOCK: 0x4030_ae7b,
  GET_CLOCK: 0x8030_ae7c,
  ENABLE_CAP: 0x4068_aea3,
  SIGNAL_MSI: 0x4020_aea5,
  X86_SET_MSR_FILTER: 0x4188_aec6,
} as const;

/** On a vCPU. */
export const VcpuIoctl = {
  RUN: 0xae80,
  GET_REGS: 0x8090_ae81,
  SET_REGS: 0x4090_ae82,
  GET_SREGS: 0x8138_ae83,
  SET_SREGS: 0x4138_ae84,
  TRANSLATE: 0xc018_ae85,
  INTERRUPT: 0x4004_ae86,
  GET_MSRS: 0xc008_ae88,
  SET_MSRS: 0x4008_ae89,
  GET_FPU: 0x81a0_ae8c,
  SET_FPU: 0x41a0_ae8d,
  GET_LAPIC: 0x8400_ae8e,
  SET_LAPIC: 0x4400_ae8f,
  SET_CPUID2: 0x4008_ae90,
  GET_CPUID2: 0xc008_ae91,
  GET_MP_STATE: 0x8004_ae98,
  SET_MP_STATE: 0x4004_ae99,
  NMI: 0xae9a,
  SET_GUEST_DEBUG: 0x4048_ae9b,
  GET_VCPU_EVENTS: 0x8040_ae9f,
  SET_VCPU_EVENTS: 0x4040_aea0,
  GET_DEBUGREGS: 0x8080_aea1,
  SET_DEBUGREGS: 0x4080_aea2,
} as const;
