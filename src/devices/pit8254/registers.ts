/** Ports and command bits of the 8254 timer (Intel 8254 data sheet) and of the PC's system control port B. */

export const COUNTERS = 0x40;
export const CONTROL = 0x43;
/** Bit 0 gate of channel 2, bit 1 speaker, bit 4 refresh toggle, bit 5 output of channel 2. */
export const SYSTEM_CONTROL_B = 0x61;

/** Input clock in Hz: 14.31818 MHz / 12. */
export const FREQUENCY = 1_193_182n;

export const Control = { READ_BACK: 3, KEEP_COUNT: 0x20, KEEP_STATUS: 0x10 } as const;
/** Access of the count, bits 5:4 of the control word. */
export const Access = { LATCH: 0, LOW: 1, HIGH: 2, BOTH: 3 } as const;
export const PortB = { GATE2: 1, SPEAKER: 2, REFRESH: 0x10, OUT2: 0x20 } as const;
