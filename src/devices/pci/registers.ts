/** PCI configuration space of a function with a type 0 header (PCI Local Bus 3.0, chapter 6), and how a PC reaches it. No behaviour. */

/** Bytes of a function's configuration space. */
export const CONFIG_LENGTH = 256;
export const SLOTS = 32;

export const Config = {
  VENDOR_ID: 0x00,
  DEVICE_ID: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION: 0x08,
  /** Three bytes: programming interface, subclass, base class. */
  CLASS: 0x09,
  CACHE_LINE: 0x0c,
  HEADER_TYPE: 0x0e,
  BARS: 0x10,
  CARD_BUS: 0x28,
  SUBSYSTEM_VENDOR: 0x2c,
  SUBSYSTEM: 0x2e,
  ROM: 0x30,
  CAPABILITIES: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
  /** Where capabilities begin to be placed. */
  FIRST_CAPABILITY: 0x40,
} as const;

export const BARS = 6;

/** Bits of the command register (6.2.2). */
export const Command = { IO: 1, MEMORY: 2, MASTER: 4, SERR: 0x100, NO_INTX: 0x400 } as const;
/** Bits of the status register (6.2.3). */
export const Status = { INTERRUPT: 8, CAPABILITIES: 0x10 } as const;
/** Low bits of a memory BAR (6.2.5.1). */
export const BarBit = { IS_64: 4, PREFETCHABLE: 8 } as const;

export const CapabilityId = { VENDOR: 0x09, MSIX: 0x11 } as const;

/** MSI-X (6.8.2): fields of its capability, and of an entry of its table. */
export const MsixField = { CONTROL: 2, TABLE: 4, PENDING: 8, LENGTH: 12 } as const;
export const MsixControl = { ENABLE: 0x8000, MASK_ALL: 0x4000 } as const;
export const MsixEntry = { ADDRESS: 0, DATA: 8, CONTROL: 12, LENGTH: 16 } as const;
/** Bit 0 of an entry's control. */
export const ENTRY_MASKED = 1;

/** Ports of configuration mechanism 1 (3.2.2.3.2). */
export const CONFIG_ADDRESS = 0xcf8;
export const CONFIG_DATA = 0xcfc;
/** The address: enabled, bus 23:16, device and function 15:8, register 7:2. */
export const ADDRESS_ENABLED = 0x8000_0000;
export const ADDRESS_BITS = 0x80ff_fffc;
