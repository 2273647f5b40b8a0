/** Operation codes of commands (SPC-4 and SBC-3), by their names there. */
export const Operation = {
  TEST_UNIT_READY: 0x00,
  REQUEST_SENSE: 0x03,
  READ_6: 0x08,
  WRITE_6: 0x0a,
  INQUIRY: 0x12,
  MODE_SENSE_6: 0x1a,
  START_STOP_UNIT: 0x1b,
  PREVENT_ALLOW_MEDIUM_REMOVAL: 0x1e,
  READ_CAPACITY_10: 0x25,
  READ_10: 0x28,
  WRITE_10: 0x2a,
  VERIFY_10: 0x2f,
  SYNCHRONIZE_CACHE_10: 0x35,
  WRITE_SAME_10: 0x41,
  UNMAP: 0x42,
  MODE_SENSE_10: 0x5a,
  READ_16: 0x88,
  WRITE_16: 0x8a,
  VERIFY_16: 0x8f,
  SYNCHRONIZE_CACHE_16: 0x91,
  WRITE_SAME_16: 0x93,
  SERVICE_ACTION_IN_16: 0x9e,
  REPORT_LUNS: 0xa0,
  READ_12: 0xa8,
  WRITE_12: 0xaa,
  VERIFY_12: 0xaf,
} as const;

/** Service action of SERVICE ACTION IN(16). */
export const READ_CAPACITY_16 = 0x10;

/** `READ_10` as the standards write it: `READ(10)`. */
function written(name: string): string {
  return name.replace(/_(\d+)$/, '($1)').replaceAll('_', ' ');
}

const OPERATION_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(Operation).map(([name, code]) => [code, written(name)]),
);

/** Name of a command, as the standards have it: `READ(10)`. */
export function commandName(cdb: Uint8Array): string {
  const [operation = 0, action = 0] = cdb;
  if (operation === Operation.SERVICE_ACTION_IN_16 && (action & 0x1f) === READ_CAPACITY_16) return 'READ CAPACITY(16)';
  return OPERATION_NAMES.get(operation) ?? `operation 0x${operation.toString(16).padStart(2, '0')}`;
}

/** Status of a command (SAM-5, 5.3). */
export const Status = { GOOD: 0x00, CHECK_CONDITION: 0x02, BUSY: 0x08, RESERVATION_CONFLICT: 0x18 } as const;
/** Names of statuses, as the standard has them. */
export const STATUS_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(Status).map(([name, status]) => [status, name.replaceAll('_', ' ')]),
);

/** Sense keys (SPC-4, 4.5.6). */
export const SenseKey = {
  NO_SENSE: 0,
  NOT_READY: 2,
  MEDIUM_ERROR: 3,
  ILLEGAL_REQUEST: 5,
  DATA_PROTECT: 7,
  MISCOMPARE: 14,
} as const;
/** Names of sense keys. */
export const SENSE_KEY_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(SenseKey).map(([name, key]) => [key, name.replaceAll('_', ' ')]),
);

/** Bytes of a block of a disk. */
export const BLOCK = 512;
/** Peripheral device type of a disk, and what is said where no unit is (SPC-4, 6.6.2). */
export const DISK_TYPE = 0x00;
export const NO_UNIT = 0x7f;

/** Pages of vital product data (SPC-4, 7.8; SBC-3, 6.5). */
export const VpdPage = {
  SUPPORTED: 0x00,
  SERIAL_NUMBER: 0x80,
  IDENTIFICATION: 0x83,
  BLOCK_LIMITS: 0xb0,
  BLOCK_CHARACTERISTICS: 0xb1,
  PROVISIONING: 0xb2,
} as const;

/** Mode pages (SPC-4, 7.5; SBC-3, 6.4). */
export const ModePage = { CACHING: 0x08, CONTROL: 0x0a, EXCEPTIONS: 0x1c, ALL: 0x3f } as const;
