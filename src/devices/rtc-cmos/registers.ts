/** Registers of the MC146818 real-time clock and of the PC's CMOS memory behind it (82371AB data sheet, RTC). */

export const INDEX = 0x70;
export const DATA = 0x71;
export const IRQ = 8;
export const CMOS_SIZE = 128;

export const Reg = {
  SECONDS: 0,
  SECONDS_ALARM: 1,
  MINUTES: 2,
  MINUTES_ALARM: 3,
  HOURS: 4,
  HOURS_ALARM: 5,
  WEEKDAY: 6,
  DAY: 7,
  MONTH: 8,
  YEAR: 9,
  A: 10,
  B: 11,
  C: 12,
  D: 13,
  /** KiB below 1 MiB. */
  BASE_MEMORY: 0x15,
  /** KiB above 1 MiB, at most 64 MiB; repeated at 0x30. */
  EXTENDED_MEMORY: 0x17,
  EXTENDED_MEMORY_COPY: 0x30,
  CENTURY: 0x32,
  /** Memory above 16 MiB in units of 64 KiB. */
  HIGH_MEMORY: 0x34,
  /** Memory above 4 GiB in units of 64 KiB, three bytes. */
  VERY_HIGH_MEMORY: 0x5b,
  /** Number of processors minus one. */
  PROCESSORS: 0x5f,
} as const;

export const A_UPDATE = 0x80;
export const B = {
  DAYLIGHT: 1,
  HOURS_24: 2,
  BINARY: 4,
  SQUARE_WAVE: 8,
  UPDATE_IRQ: 0x10,
  ALARM_IRQ: 0x20,
  PERIODIC_IRQ: 0x40,
  SET: 0x80,
} as const;
export const C = { UPDATE: 0x10, ALARM: 0x20, PERIODIC: 0x40, IRQ: 0x80 } as const;
/** The battery is good. */
export const D_VALID = 0x80;
