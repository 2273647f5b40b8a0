/** The block device (virtio 1.2, 5.2). */
export const BlockFeature = {
  SIZE_MAX: 1,
  SEG_MAX: 2,
  READ_ONLY: 5,
  BLK_SIZE: 6,
  FLUSH: 9,
  MULTIQUEUE: 12,
  DISCARD: 13,
  WRITE_ZEROES: 14,
} as const;

/** Types of requests (5.2.6). */
export const Request = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8, DISCARD: 11, WRITE_ZEROES: 13 } as const;
export const REQUEST_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(Request).map(([name, type]) => [type, name]),
);

/** What the last byte of a request says. */
export const Outcome = { OK: 0, IO_ERROR: 1, UNSUPPORTED: 2 } as const;

export const SECTOR = 512;
/** A request begins with its type, a reserved word and a sector. */
export const HEADER_SIZE = 16;
/** Bytes of a device's id, filled up with zeroes. */
export const ID_SIZE = 20;
/** A range to discard or to fill with zeroes: sector, count, flags. */
export const RANGE_SIZE = 16;
/** Flag of a range: it may be unmapped. Only where zeroes are written (5.2.6.1). */
export const UNMAP = 1;

/** Bytes of the configuration up to the limits of writing zeroes. */
export const CONFIGURATION_SIZE = 60;
/** Places in it. */
export const Place = {
  CAPACITY: 0,
  SIZE_MAX: 8,
  SEG_MAX: 12,
  BLK_SIZE: 20,
  NUM_QUEUES: 34,
  MAX_DISCARD_SECTORS: 36,
  MAX_DISCARD_SEG: 40,
  DISCARD_ALIGNMENT: 44,
  MAX_WRITE_ZEROES_SECTORS: 48,
  MAX_WRITE_ZEROES_SEG: 52,
  WRITE_ZEROES_MAY_UNMAP: 56,
} as const;

/** Bytes of a segment, and segments of a request: 1 MiB in all, so that one notification ends soon. */
export const LONGEST_SEGMENT = 0x8000;
export const MOST_SEGMENTS = 32;
/** Sectors of one range, and ranges of a request. */
export const MOST_CLEARED = 0x4000;
export const MOST_RANGES = 1;
