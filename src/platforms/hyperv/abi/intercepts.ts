/** Intercepts that a parent installs, and the messages that they become (TLFS, "Intercepts"; values as Linux's headers have them). */

/** HV_INTERCEPT_TYPE. */
export const InterceptType = {
  IO_PORT: 0,
  MSR: 1,
  CPUID: 2,
  EXCEPTION: 3,
  GLOBAL_CPUID: 6,
  APIC_SMI: 7,
  HYPERCALL: 8,
  INIT_SIPI: 9,
  APIC_WRITE: 0xb,
  UNKNOWN_SYNIC_CONNECTION: 0xd,
  APIC_EOI: 0xe,
  RETARGET_UNKNOWN_DEVICE: 0xf,
  EXCEPTION_TRAP: 0x10,
  IO_PORT_RANGE: 0x11,
} as const;

/** HV_INTERCEPT_ACCESS_MASK. */
export const AccessMask = { READ: 1, WRITE: 2, EXECUTE: 4 } as const;

/** HV_INTERCEPT_ACCESS, as a message's header has it. */
export const Access = { READ: 0, WRITE: 1, EXECUTE: 2 } as const;

/** HV_MESSAGE_TYPE of intercepts. */
export const InterceptMessageType = {
  UNMAPPED_GPA: 0x8000_0000,
  GPA_INTERCEPT: 0x8000_0001,
  INVALID_VP_REGISTER: 0x8000_0020,
  UNRECOVERABLE_EXCEPTION: 0x8000_0021,
  HYPERCALL: 0x8000_0050,
  IO_PORT: 0x8001_0000,
  MSR: 0x8001_0001,
  CPUID: 0x8001_0002,
  EXCEPTION: 0x8001_0003,
  HALT: 0x8001_0007,
} as const;

const MESSAGE_NAMES = new Map<number, string>([
  [InterceptMessageType.UNMAPPED_GPA, 'HvMessageTypeUnmappedGpa'],
  [InterceptMessageType.GPA_INTERCEPT, 'HvMessageTypeGpaIntercept'],
  [InterceptMessageType.INVALID_VP_REGISTER, 'HvMessageTypeInvalidVpRegisterValue'],
  [InterceptMessageType.UNRECOVERABLE_EXCEPTION, 'HvMessageTypeUnrecoverableException'],
  [InterceptMessageType.HYPERCALL, 'HvMessageTypeHypercallIntercept'],
  [InterceptMessageType.IO_PORT, 'HvMessageTypeX64IoPortIntercept'],
  [InterceptMessageType.MSR, 'HvMessageTypeX64MsrIntercept'],
  [InterceptMessageType.CPUID, 'HvMessageTypeX64CpuidIntercept'],
  [InterceptMessageType.EXCEPTION, 'HvMessageTypeX64ExceptionIntercept'],
  [InterceptMessageType.HALT, 'HvMessageTypeX64Halt'],
]);

/** The name of a message's type; its number where it is no intercept's. */
export function interceptMessageName(type: number): string {
  return MESSAGE_NAMES.get(type) ?? `message type 0x${type.toString(16)}`;
}

/** HvCallCreatePartition: flags (HV_PARTITION_CREATION_FLAG_*). */
export const CreationFlag = {
  SMT: 1n << 0n,
  NESTED_CAPABLE: 1n << 1n,
  GPA_SUPER_PAGES: 1n << 4n,
  /** The parent manages it whole: HLT is an intercept. */
  EXO: 1n << 8n,
  LAPIC: 1n << 13n,
  PMU: 1n << 15n,
  LBR: 1n << 16n,
  INTERCEPT_MESSAGE_PAGE: 1n << 19n,
  HYPERCALL_DOORBELL_PAGE: 1n << 20n,
  X2APIC: 1n << 22n,
} as const;

/** HvCallMapGpaPages: flags (HV_MAP_GPA_FLAGS). */
export const MapFlag = {
  READABLE: 1,
  WRITABLE: 2,
  KERNEL_EXECUTABLE: 4,
  USER_EXECUTABLE: 8,
  /** What is mapped: pages of the caller (0), no access (1), zeroes (2), ones (3). */
  KIND: 0x3_0000,
  NO_ACCESS: 0x1_0000,
  NO_OVERLAY: 0x10_0000,
  NOT_CACHED: 0x20_0000,
  LARGE: 0x8000_0000,
} as const;

/** HV_PARTITION_PROPERTY_CODE. */
export const Property = {
  PRIVILEGES: 0x1_0000,
  SYNTHETIC_FEATURES: 0x1_0001,
  SUSPEND: 0x2_0000,
  CPU_RESERVE: 0x2_0001,
  CPU_CAP: 0x2_0002,
  CPU_WEIGHT: 0x2_0003,
  CPU_GROUP: 0x2_0004,
  TIME_FREEZE: 0x3_0003,
  APIC_FREQUENCY: 0x3_0004,
  REFERENCE_TIME: 0x3_0005,
  VIRTUAL_TLB_PAGES: 0x5_0000,
  ZERO_MEMORY_ON_RESET: 0x5_0002,
  PROCESSORS_PER_SOCKET: 0x5_0003,
  GPA_SPACE_BITS: 0x5_0010,
  UNIMPLEMENTED_MSR_ACTION: 0x5_0017,
  PROCESSOR_VENDOR: 0x6_0000,
  XSAVE_FEATURES: 0x6_0002,
  COMPATIBILITY_VERSION: 0x6_0005,
  PHYSICAL_ADDRESS_BITS: 0x6_0006,
  PROCESSOR_CLOCK: 0x6_0009,
  PROCESSOR_FEATURES0: 0x6_000a,
  PROCESSOR_FEATURES1: 0x6_000b,
  GUEST_OS_ID: 0x7_0000,
} as const;
