/** POST code port and system control port A (IBM PS/2 technical reference). */

export const POST_CODE = 0x80;
export const CONTROL_A = 0x92;
/** Port A: bit 0 resets the processor, bit 1 is the fast A20 gate. */
export const ControlA = { RESET: 1, A20: 2 } as const;
