/** Ports and command bits of the 8259A pair (Intel 8259A data sheet) and of its edge/level registers (82371AB). */

export const MASTER_COMMAND = 0x20;
export const MASTER_DATA = 0x21;
export const SLAVE_COMMAND = 0xa0;
export const SLAVE_DATA = 0xa1;
export const ELCR_MASTER = 0x4d0;
export const ELCR_SLAVE = 0x4d1;

/** Input of the master that the slave drives. */
export const CASCADE = 2;

export const Icw1 = { ICW4: 1, SINGLE: 2, LEVEL: 8, SELECT: 0x10 } as const;
export const Icw4 = { AUTO_EOI: 2, SPECIAL_FULLY_NESTED: 0x10 } as const;
/** OCW2 command, bits 7:5. */
export const Ocw2 = {
  ROTATE_AUTO_CLEAR: 0,
  EOI: 1,
  NOP: 2,
  SPECIFIC_EOI: 3,
  ROTATE_AUTO_SET: 4,
  ROTATE_EOI: 5,
  SET_PRIORITY: 6,
  ROTATE_SPECIFIC_EOI: 7,
} as const;
export const Ocw3 = { SELECT: 8, READ: 2, READ_ISR: 1, POLL: 4, SPECIAL_MASK: 0x20, SPECIAL_MASK_ENABLE: 0x40 } as const;

/** Lines that can't be level triggered: timer, keyboard, cascade, RTC and FPU. */
export const ELCR_MASK = { master: 0xf8, slave: 0xde } as const;
