/** How a guest reports its crash (TLFS, "Guest crash enlightenment"; HV_CRASH_CTL_REG_CONTENTS). */

/** Bits of HV_X64_MSR_CRASH_CTL. */
export const CrashControl = {
  /** Reports a crash. */
  NOTIFY: 1n << 63n,
  /** P3 and P4 are guest physical address and length of a message. */
  MESSAGE: 1n << 62n,
  /** No dump is to be made of the guest. */
  NO_DUMP: 1n << 61n,
} as const;

/** What a read says that can be done. */
export const CRASH_CAPABILITIES = CrashControl.NOTIFY | CrashControl.MESSAGE;

export const LONGEST_CRASH_MESSAGE = 4096;

/** What the parameters mean to guests that send no message, by who they are. */
export const CRASH_PARAMETER_NAMES = {
  /** Linux drivers/hv, `hyperv_report_panic`. */
  linux: ['error', 'guest OS id', 'RIP', 'RAX', 'RSP'],
  windows: ['bug check', 'parameter 1', 'parameter 2', 'parameter 3', 'parameter 4'],
  other: ['P0', 'P1', 'P2', 'P3', 'P4'],
} as const;
