/** Structures that the hypervisor and its guests share in memory: byte offsets (TLFS, the chapter of each). */

/** HV_REFERENCE_TSC_PAGE. */
export const ReferenceTscPage = { SEQUENCE: 0, SCALE: 8, OFFSET: 16, SIZE: 24 } as const;

/**
 * HV_VP_ASSIST_PAGE, as far as it is served: its first word, whose bit 0 says that no EOI is required, and the byte that says that the
 * unhalted timer has expired.
 */
export const VpAssistPage = { APIC_ASSIST: 0, UNHALTED_TIMER_EXPIRED: 56 } as const;

/** The list of HvExtCallGetBootZeroedMemory: a count, then {u64 first page, u64 pages} each. */
export const BOOT_ZEROED_RANGES = 8;
export const BOOT_ZEROED_RANGE = 16;
export const MOST_BOOT_ZEROED_RANGES = 255;
