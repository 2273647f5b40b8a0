/** The synthetic debugger's MSRs: their bits as Linux's KVM and QEMU have them, since the TLFS doesn't describe them. */

/** Bits of HV_X64_MSR_SYNDBG_CONTROL. */
export const DebuggerControl = { SEND: 1n, RECEIVE: 2n, SIZE: 0xffff_0000n, SIZE_SHIFT: 16n } as const;

/** Bits of HV_X64_MSR_SYNDBG_STATUS; the size of what was received is in bits 31:16. */
export const DebuggerStatus = { FAILED: 0n, SENT: 1n, RECEIVED: 4n } as const;

/** Bytes that fit into a page behind the header of HvCallPostDebugData. */
export const LONGEST_POST = 4088;
