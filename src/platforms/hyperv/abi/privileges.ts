import type { PrivilegeName } from '../../../hypervisor/privileges/privileges.ts';

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
  ISOLATION: 54,
} as const;

/** Names of the bits as the TLFS has them, and what in a partition's grant each of them takes (hypervisor/privileges). */
const ROWS: readonly (readonly [bit: number, name: string, grant?: PrivilegeName])[] = [
  [Privilege.ACCESS_VP_RUN_TIME, 'AccessVpRunTimeReg'],
  [Privilege.ACCESS_REFERENCE_COUNTER, 'AccessPartitionReferenceCounter'],
  [Privilege.ACCESS_SYNIC, 'AccessSynicRegs'],
  [Privilege.ACCESS_SYNTHETIC_TIMERS, 'AccessSyntheticTimerRegs', 'timers'],
  [Privilege.ACCESS_INTERRUPT_CONTROL, 'AccessIntrCtrlRegs'],
  [Privilege.ACCESS_HYPERCALL_MSRS, 'AccessHypercallMsrs', 'hypercalls'],
  [Privilege.ACCESS_VP_INDEX, 'AccessVpIndex'],
  [Privilege.ACCESS_RESET, 'AccessResetReg', 'power'],
  [Privilege.ACCESS_STATS, 'AccessStatsReg'],
  [Privilege.ACCESS_REFERENCE_TSC, 'AccessPartitionReferenceTsc'],
  [Privilege.ACCESS_GUEST_IDLE, 'AccessGuestIdleReg'],
  [Privilege.ACCESS_FREQUENCIES, 'AccessFrequencyRegs'],
  [Privilege.ACCESS_DEBUG, 'AccessDebugRegs'],
  [Privilege.ACCESS_REENLIGHTENMENT, 'AccessReenlightenmentControls'],
  [Privilege.ACCESS_ROOT_SCHEDULER, 'AccessRootSchedulerReg'],
  [Privilege.ACCESS_TSC_INVARIANT, 'AccessTscInvariantControls'],
  [Privilege.CREATE_PARTITIONS, 'CreatePartitions', 'create-partitions'],
  [Privilege.ACCESS_PARTITION_ID, 'AccessPartitionId', 'hypercalls'],
  [Privilege.ACCESS_MEMORY_POOL, 'AccessMemoryPool', 'create-partitions'],
  [Privilege.ADJUST_MESSAGE_BUFFERS, 'AdjustMessageBuffers', 'create-partitions'],
  [Privilege.POST_MESSAGES, 'PostMessages', 'hypercalls'],
  [Privilege.SIGNAL_EVENTS, 'SignalEvents', 'hypercalls'],
  [Privilege.CREATE_PORT, 'CreatePort', 'create-partitions'],
  [Privilege.CONNECT_PORT, 'ConnectPort', 'create-partitions'],
  [Privilege.ACCESS_STATISTICS, 'AccessStats', 'hypercalls'],
  [Privilege.DEBUGGING, 'Debugging', 'debugging'],
  [Privilege.CPU_MANAGEMENT, 'CpuManagement', 'create-partitions'],
  [Privilege.CONFIGURE_PROFILER, 'ConfigureProfiler'],
  [Privilege.ACCESS_VSM, 'AccessVSM'],
  [Privilege.ACCESS_VP_REGISTERS, 'AccessVpRegisters', 'hypercalls'],
  [Privilege.ENABLE_EXTENDED_HYPERCALLS, 'EnableExtendedHypercalls', 'hypercalls'],
  [Privilege.START_VIRTUAL_PROCESSOR, 'StartVirtualProcessor', 'start-vcpus'],
  [Privilege.ISOLATION, 'Isolation'],
];

/** `AccessSynicRegs`: the name of a bit. */
export function privilegeName(bit: number): string {
  return ROWS.find((row) => row[0] === bit)?.[1] ?? `bit ${bit}`;
}

/** Names of the bits of a mask, the lowest first. */
export function privilegeNames(mask: bigint): readonly string[] {
  return Array.from({ length: 64 }, (_, bit) => bit)
    .filter((bit) => (mask >> BigInt(bit)) & 1n)
    .map(privilegeName);
}

/** The privilege of a partition's grant without which it hasn't this bit; undefined for what depends on nothing that a user says. */
export function grantOf(bit: number): PrivilegeName | undefined {
  return ROWS.find((row) => row[0] === bit)?.[2];
}

/**
 * The mask of a partition by what its user grants it: a child's usual one, or the parent's for who may make partitions, with a debugger where
 * it may have one, without what was taken away. Whoever may not call the hypervisor can't start a virtual processor by a call either.
 */
export function privilegesOf(grant: ReadonlySet<PrivilegeName>): bigint {
  const usual = grant.has('create-partitions') ? PARENT_PRIVILEGES : CHILD_PRIVILEGES;
  const whole = usual | privilegeMask(Privilege.DEBUGGING);
  const isTaken = (bit: number) => {
    const needed = grantOf(bit);
    const isCall = bit >= 32;
    return (needed !== undefined && !grant.has(needed)) || (isCall && !grant.has('hypercalls'));
  };
  return Array.from({ length: 64 }, (_, bit) => bit).reduce(
    (mask, bit) => (isTaken(bit) ? mask & ~(1n << BigInt(bit)) : mask),
    whole,
  );
}

/** A set of privileges by their bit numbers. */
export function privilegeMask(...bits: readonly number[]): bigint {
  return bits.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);
}

/**
 * What a usual child partition may do: what Linux and Windows guests ask for. Its TSC is none that it may rely on, since its host could move it
 * to another processor: guests keep time by the reference TSC page.
 */
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
  Privilege.ACCESS_REENLIGHTENMENT,
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
    Privilege.ACCESS_TSC_INVARIANT,
    Privilege.CREATE_PARTITIONS,
    Privilege.ACCESS_PARTITION_ID,
    Privilege.ACCESS_MEMORY_POOL,
    Privilege.ADJUST_MESSAGE_BUFFERS,
    Privilege.CREATE_PORT,
    Privilege.CONNECT_PORT,
    Privilege.CPU_MANAGEMENT,
  );
