/** Hyper-V's CPUID leaves (TLFS, "Feature and interface discovery"). */

export const Leaf = {
  SIGNATURE: 0x4000_0000,
  INTERFACE: 0x4000_0001,
  VERSION: 0x4000_0002,
  FEATURES: 0x4000_0003,
  HINTS: 0x4000_0004,
  LIMITS: 0x4000_0005,
  HARDWARE_FEATURES: 0x4000_0006,
  CPU_MANAGEMENT: 0x4000_0007,
  SVM_FEATURES: 0x4000_0008,
  NESTED_PRIVILEGES: 0x4000_0009,
  NESTED_FEATURES: 0x4000_000a,
  ISOLATION: 0x4000_000c,
  STACK_SIGNATURE: 0x4000_0080,
  STACK_INTERFACE: 0x4000_0081,
  STACK_PROPERTIES: 0x4000_0082,
} as const;

/** What each leaf is about, for who reads of an exit. */
export const LEAF_REFERENCE: readonly (readonly [leaf: number, description: string])[] = [
  [Leaf.SIGNATURE, 'highest leaf and "Microsoft Hv"'],
  [Leaf.INTERFACE, 'interface signature, "Hv#1"'],
  [Leaf.VERSION, 'version of the hypervisor'],
  [Leaf.FEATURES, 'privileges of the partition, and features'],
  [Leaf.HINTS, 'what the hypervisor recommends to its guest'],
  [Leaf.LIMITS, 'how many processors it supports'],
  [Leaf.HARDWARE_FEATURES, 'features of the hardware that it uses'],
  [Leaf.CPU_MANAGEMENT, 'management of logical processors by the root'],
  [Leaf.SVM_FEATURES, 'shared virtual memory'],
  [Leaf.NESTED_PRIVILEGES, 'privileges of nested hypervisors'],
  [Leaf.NESTED_FEATURES, 'features for nested hypervisors'],
  [Leaf.ISOLATION, 'isolation of the partition from its host'],
  [Leaf.STACK_SIGNATURE, 'highest leaf of the virtualization stack and "Microsoft VS"'],
  [Leaf.STACK_INTERFACE, 'interface of the virtualization stack, "VS#1"'],
  [Leaf.STACK_PROPERTIES, 'properties of the virtualization stack'],
];

/** "Microsoft Hv" in EBX, ECX, EDX. */
export const SIGNATURE = { ebx: 0x7263_694d, ecx: 0x666f_736f, edx: 0x7648_2074 } as const;
/** "Hv#1" in EAX. */
export const INTERFACE = 0x3123_7648;
/** "Microsoft VS" in EBX, ECX, EDX. */
export const STACK_SIGNATURE = { ebx: 0x7263_694d, ecx: 0x666f_736f, edx: 0x5356_2074 } as const;
/** "VS#1" in EAX. */
export const STACK_INTERFACE = 0x3123_5356;

/** Bits of EDX of the features leaf. */
export const Feature = {
  MWAIT: 0,
  GUEST_DEBUGGING: 1,
  PERFORMANCE_MONITORS: 2,
  DYNAMIC_PARTITIONING: 3,
  XMM_HYPERCALL_INPUT: 4,
  GUEST_IDLE: 5,
  SLEEP_STATE: 6,
  NUMA_DISTANCE: 7,
  FREQUENCY_MSRS: 8,
  SYNTHETIC_MACHINE_CHECK: 9,
  CRASH_MSRS: 10,
  DEBUG_MSRS: 11,
  NPIEP: 12,
  DISABLE_HYPERVISOR: 13,
  EXTENDED_GVA_RANGES: 14,
  XMM_HYPERCALL_OUTPUT: 15,
  SINT_POLLING: 17,
  HYPERCALL_MSR_LOCK: 18,
  DIRECT_SYNTHETIC_TIMERS: 19,
  PAT_REGISTER: 20,
  BNDCFGS_REGISTER: 21,
  UNHALTED_TIMER: 23,
  LAST_BRANCH_RECORDS: 26,
} as const;

/** Bits of EAX of the hints leaf. */
export const Hint = {
  ADDRESS_SPACE_SWITCH: 0,
  LOCAL_FLUSH: 1,
  REMOTE_FLUSH: 2,
  APIC_MSRS: 3,
  RESET_MSR: 4,
  RELAXED_TIMING: 5,
  DMA_REMAPPING: 6,
  INTERRUPT_REMAPPING: 7,
  X2APIC_MSRS: 8,
  DEPRECATE_AUTO_EOI: 9,
  CLUSTER_IPI: 10,
  PROCESSOR_MASKS_EX: 11,
  NESTED: 12,
  INT_FOR_MBEC: 13,
  ENLIGHTENED_VMCS: 14,
  SYNCHRONIZED_TIMELINE: 15,
  DIRECT_LOCAL_FLUSH: 17,
  NO_SHARED_CORES: 18,
  X2APIC: 19,
  MMIO_HYPERCALLS: 21,
} as const;

/** Bits of EAX of the leaf on features of the hardware. */
export const HardwareFeature = {
  APIC_OVERLAY_ASSIST: 0,
  MSR_BITMAPS: 1,
  PERFORMANCE_COUNTERS: 2,
  SECOND_LEVEL_TRANSLATION: 3,
  DMA_REMAPPING: 4,
  INTERRUPT_REMAPPING: 5,
  MEMORY_PATROL_SCRUBBER: 6,
  DMA_PROTECTION: 7,
  HPET_REQUESTED: 8,
  VOLATILE_SYNTHETIC_TIMERS: 9,
  PHYSICAL_DESTINATION_MODE: 14,
  VMFUNC_ALIAS: 15,
  MEMORY_ZEROING: 16,
  UNRESTRICTED_GUEST: 17,
  RDT_ALLOCATION: 18,
  RDT_MONITORING: 19,
  VIRTUAL_PMU: 20,
  LAST_BRANCH_RECORDS: 21,
  PROCESSOR_TRACE: 22,
  APIC_EMULATION: 23,
  ACPI_WATCHDOG: 24,
} as const;

/** Bits of EAX of the leaf on properties of the virtualization stack. */
export const StackProperty = { PORTABLE: 0, DEBUG_DEVICE: 1 } as const;

/** A register with these bits set. */
export function bitsOf(...bits: readonly number[]): number {
  return bits.reduce((value, bit) => (value | (1 << bit)) >>> 0, 0);
}
