/** Privileges of a partition, as CPUID leaf 0x40000003 shows them in EBX:EAX (TLFS, HV_PARTITION_PRIVILEGE_MASK). */

/** Bit numbers. */
export const Privilege = {
  ACCESS_VP_RUN_TIME: 0,
  ACCESS_REFERENCE_COUNTER: 1,
  ACCESS_SYNIC: 2,
  ACCESS_SYNTHETIC_TIMERS: 3,
  ACCESS_INTERRUPT_CONTROL: 4,
  ACCESS_HYPERCALL_MSRS: 5,
  ACCESS_VP_INDEX: 6,
  ACCESS_RESET: 7,
  ACCESS_STATS: 8,
  ACCESS_REFERENCE_TSC: 9,
  ACCESS_GUEST_IDLE: 10,
  ACCESS_FREQUENCIES: 11,
  ACCESS_DEBUG: 12,
  ACCESS_REENLIGHTENMENT: 13,
  ACCESS_ROOT_SCHEDULER: 14,
  ACCESS_TSC_INVARIANT: 15,
  CREATE_PARTITIONS: 32,
  ACCESS_PARTITION_ID: 33,
  ACCESS_MEMORY_POOL: 34,
  ADJUST_MESSAGE_BUFFERS: 35,
  POST_MESSAGES: 36,
  SIGNAL_EVENTS: 37,
  CREATE_PORT: 38,
  CONNECT_PORT: 39,
  ACCESS_STATISTICS: 40,
  DEBUGGING: 43,
  CPU_MANAGEMENT: 44,
  CONFIGURE_PROFILER: 45,
  ACCESS_VSM: 48,
  ACCESS_VP_REGISTERS: 49,
  ENABLE_EXTENDED_HYPERCALLS: 52,
  START_VIRTUAL_PROCESSOR: 53,
} as const;

/** A set of privileges by their bit numbers. */
export function privilegeMask(...bits: readonly number[]): bigint {
  return bits.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);
}

/** What a usual child partition may do: what Linux and Windows guests ask for. */
export const CHILD_PRIVILEGES = privilegeMask(
  Privilege.ACCESS_VP_RUN_TIME,
  Privilege.ACCESS_REFERENCE_COUNTER,
  Privilege.ACCESS_SYNIC,
  Privilege.ACCESS_SYNTHETIC_TIMERS,
  Privilege.ACCESS_INTERRUPT_CONTROL,
  Privilege.ACCESS_HYPERCALL_MSRS,
  Privilege.ACCESS_VP_INDEX,
  Privilege.ACCESS_RESET,
  Privilege.ACCESS_REFERENCE_TSC,
  Privilege.ACCESS_GUEST_IDLE,
  Privilege.ACCESS_FREQUENCIES,
  Privilege.ACCESS_TSC_INVARIANT,
  Privilege.POST_MESSAGES,
  Privilege.SIGNAL_EVENTS,
  Privilege.ENABLE_EXTENDED_HYPERCALLS,
  Privilege.START_VIRTUAL_PROCESSOR,
  Privilege.ACCESS_VP_REGISTERS,
);

/** What the parent (root) partition may do besides: it makes the others. */
export const PARENT_PRIVILEGES =
  CHILD_PRIVILEGES |
  privilegeMask(
    Privilege.CREATE_PARTITIONS,
    Privilege.ACCESS_PARTITION_ID,
    Privilege.ACCESS_MEMORY_POOL,
    Privilege.ADJUST_MESSAGE_BUFFERS,
    Privilege.CREATE_PORT,
    Privilege.CONNECT_PORT,
    Privilege.CPU_MANAGEMENT,
  );
