/** Registers of the I/O APIC (Intel 82093AA data sheet, section 3). */

export const IOAPIC_BASE = 0xfec0_0000n;
export const IOAPIC_LENGTH = 0x1000n;
export const PINS = 24;

/** Memory-mapped: index and data of the register window, and the EOI register of version 0x20. */
export const Window = { SELECT: 0x00n, DATA: 0x10n, EOI: 0x40n } as const;
/** Through the window. */
export const Register = { ID: 0, VERSION: 1, ARBITRATION: 2, REDIRECTION: 0x10 } as const;
export const VERSION = 0x20;

/** Low half of a redirection entry. */
export const Entry = {
  VECTOR: 0xff,
  DELIVERY_MODE: 0x700,
  LOGICAL: 0x800,
  DELIVERY_STATUS: 0x1000,
  ACTIVE_LOW: 0x2000,
  REMOTE_IRR: 0x4000,
  LEVEL: 0x8000,
  MASKED: 0x1_0000,
} as const;
export const READ_ONLY = Entry.DELIVERY_STATUS | Entry.REMOTE_IRR;
