/** Vectors that interrupts may have. */
export const FIRST_VECTOR = 0x10;

export const LAST_VECTOR = 0xff;
