/** QEMU's firmware configuration device (QEMU: docs/specs/fw_cfg.rst). No behaviour. */

/** Ports: the key is written to the first as 16 bits, data are read from the second in bytes. */
export const SELECTOR = 0x510;
export const DATA = 0x511;
/** Address of a request for DMA, 64 bits big-endian; its low half starts it. */
export const DMA_HIGH = 0x514;
export const DMA_LOW = 0x518;
/** Ports from SELECTOR on that ACPI tells of. */
export const PORTS = 12;

/** Keys of items; files have those from FIRST_FILE on. */
export const Key = {
  SIGNATURE: 0x00,
  FEATURES: 0x01,
  RAM_SIZE: 0x03,
  PROCESSORS: 0x05,
  KERNEL_ADDRESS: 0x07,
  KERNEL_SIZE: 0x08,
  COMMAND_LINE_ADDRESS: 0x13,
  INITRD_ADDRESS: 0x0a,
  INITRD_SIZE: 0x0b,
  MOST_PROCESSORS: 0x0f,
  KERNEL: 0x11,
  INITRD: 0x12,
  COMMAND_LINE_SIZE: 0x14,
  COMMAND_LINE: 0x15,
  SETUP_ADDRESS: 0x16,
  SETUP_SIZE: 0x17,
  SETUP: 0x18,
  DIRECTORY: 0x19,
  FIRST_FILE: 0x20,
} as const;
/** Bits of a key that don't tell items apart: writes, which no item takes. */
export const KEY_MASK = 0xbfff;

export const SIGNATURE = 'QEMU';
/** What reading the DMA address gives. */
export const DMA_SIGNATURE = 'QEMU CFG';
/** Ports, and DMA. */
export const FEATURES = 3;

/** An entry of the directory: size and key, big-endian, and a name that ends with NUL. */
export const DirectoryEntry = { SIZE: 0, KEY: 4, NAME: 8, LENGTH: 64 } as const;
export const LONGEST_NAME = 55;

/** A request for DMA in memory, big-endian. */
export const Request = { CONTROL: 0, LENGTH: 4, ADDRESS: 8, SIZE: 16 } as const;
/** Its control word; the key to select is in the upper half. */
export const Control = { ERROR: 1, READ: 2, SKIP: 4, SELECT: 8, WRITE: 0x10 } as const;
