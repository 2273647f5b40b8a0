/** Virtio over PCI (virtio 1.2, 4.1). No behaviour. */

/** Ids of functions (4.1.2): 0x1040 and the kind of device. */
export const VENDOR = 0x1af4;
export const FIRST_DEVICE = 0x1040;
/** 1 or more: not a transitional device. */
export const REVISION = 1;
/** As QEMU has it. */
export const SUBSYSTEM = 0x1100;

/** Class codes of kinds of devices, as QEMU has them; others are without a class. */
export const CLASS_CODES: Readonly<Record<number, number>> = {
  1: 0x02_0000,
  2: 0x01_0000,
  3: 0x07_8000,
  8: 0x01_0000,
  19: 0x02_8000,
};
export const OTHER_CLASS = 0x00_ff00;

/** Types of structures that vendor capabilities tell of (4.1.4). */
export const Structure = { COMMON: 1, NOTIFY: 2, ISR: 3, DEVICE: 4, WINDOW: 5 } as const;

/** Fields of such a capability. */
export const Field = {
  LENGTH: 2,
  TYPE: 3,
  BAR: 4,
  OFFSET: 8,
  SIZE: 12,
  /** Of the notification structure: bytes between two queues' places. */
  MULTIPLIER: 16,
  /** Of the window: four bytes of data. */
  DATA: 16,
} as const;
export const CAPABILITY_LENGTH = 16;
export const LONG_CAPABILITY_LENGTH = 20;

/** The BARs: interrupts, and the structures, a page for each. */
export const MSIX_BAR = { index: 1, size: 0x1000 } as const;
export const STRUCTURES_BAR = { index: 4, size: 0x4000, is64: true, prefetchable: true } as const;
export const Place = { COMMON: 0x0000, ISR: 0x1000, DEVICE: 0x2000, NOTIFY: 0x3000 } as const;
export const PLACE_LENGTH = 0x1000;
/** Each queue is notified at an address of its own. */
export const NOTIFY_MULTIPLIER = 4;

/** The common configuration (4.1.4.3): registers of the sizes that Linux's and the specification's structure have. */
export const Common = {
  DEVICE_FEATURES_SELECT: 0x00,
  DEVICE_FEATURES: 0x04,
  DRIVER_FEATURES_SELECT: 0x08,
  DRIVER_FEATURES: 0x0c,
  CONFIGURATION_VECTOR: 0x10,
  QUEUES: 0x12,
  STATUS: 0x14,
  GENERATION: 0x15,
  QUEUE_SELECT: 0x16,
  QUEUE_SIZE: 0x18,
  QUEUE_VECTOR: 0x1a,
  QUEUE_ENABLE: 0x1c,
  QUEUE_NOTIFY_OFFSET: 0x1e,
  QUEUE_DESCRIPTOR: 0x20,
  QUEUE_DRIVER: 0x28,
  QUEUE_DEVICE: 0x30,
  QUEUE_NOTIFY_DATA: 0x38,
  QUEUE_RESET: 0x3a,
  LENGTH: 0x3c,
} as const;

/** No interrupt for this (4.1.5.1.2). */
export const NO_VECTOR = 0xffff;
