/** Registers of virtio-mmio, version 2 (virtio 1.2, 4.2.2): all of 32 bits, but the device configuration from CONFIG on. */
export const Register = {
  MAGIC: 0x00,
  VERSION: 0x04,
  DEVICE_ID: 0x08,
  VENDOR_ID: 0x0c,
  DEVICE_FEATURES: 0x10,
  DEVICE_FEATURES_SELECT: 0x14,
  DRIVER_FEATURES: 0x20,
  DRIVER_FEATURES_SELECT: 0x24,
  QUEUE_SELECT: 0x30,
  QUEUE_SIZE_MAX: 0x34,
  QUEUE_SIZE: 0x38,
  QUEUE_READY: 0x44,
  QUEUE_NOTIFY: 0x50,
  INTERRUPT_STATUS: 0x60,
  INTERRUPT_ACKNOWLEDGE: 0x64,
  STATUS: 0x70,
  QUEUE_DESCRIPTOR_LOW: 0x80,
  QUEUE_DESCRIPTOR_HIGH: 0x84,
  QUEUE_DRIVER_LOW: 0x90,
  QUEUE_DRIVER_HIGH: 0x94,
  QUEUE_DEVICE_LOW: 0xa0,
  QUEUE_DEVICE_HIGH: 0xa4,
  SHM_SELECT: 0xac,
  SHM_LENGTH_LOW: 0xb0,
  SHM_LENGTH_HIGH: 0xb4,
  SHM_BASE_LOW: 0xb8,
  SHM_BASE_HIGH: 0xbc,
  QUEUE_RESET: 0xc0,
  CONFIG_GENERATION: 0xfc,
  CONFIG: 0x100,
} as const;

/** "virt". */
export const MAGIC = 0x7472_6976;
export const VERSION = 2;
/** QEMU's. */
export const VENDOR = 0x554d_4551;
/** Bytes of a device's registers, as QEMU's microvm has them. */
export const LENGTH = 0x200n;

/** Bits of the interrupt status. */
export const Interrupt = { QUEUE: 1, CONFIGURATION: 2 } as const;
