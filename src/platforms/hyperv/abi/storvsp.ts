/** The storage protocol of the VMBus (Linux's drivers/scsi/storvsc_drv.c; openvmm's storvsp_protocol): packets in a channel's ring. */

export { NT_STATUS_NAMES, NtStatus } from './nt-status.ts';

/** What a packet is. The guest's are answered by COMPLETE_IO. */
export const Operation = {
  COMPLETE_IO: 1,
  REMOVE_DEVICE: 2,
  EXECUTE_SRB: 3,
  RESET_LUN: 4,
  RESET_ADAPTER: 5,
  RESET_BUS: 6,
  BEGIN_INITIALIZATION: 7,
  END_INITIALIZATION: 8,
  QUERY_PROTOCOL_VERSION: 9,
  QUERY_PROPERTIES: 10,
  ENUMERATE_BUS: 11,
  FC_HBA_DATA: 12,
  CREATE_SUBCHANNELS: 13,
  EVENT_NOTIFICATION: 14,
} as const;
/** Names of operations. */
export const OPERATION_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(Operation).map(([name, operation]) => [operation, name]),
);

/** Places in a packet: operation, flags, status, and what is behind them. */
export const Packet = { OPERATION: 0, FLAGS: 4, STATUS: 8, BODY: 12 } as const;
/** Bytes of a packet, and of one before version 5.1. */
export const PACKET_SIZE = 64;
export const OLD_PACKET_SIZE = 48;

/** Versions, newest first: major << 8 | minor. */
export const VERSIONS: readonly number[] = [0x602, 0x600, 0x501, 0x402, 0x200];
/** The first version with several channels and longer requests (Windows 8). */
export const VERSION_WIN8 = 0x501;

/** Places in what answers QUERY_PROPERTIES, from the body on. */
export const Properties = { MAX_SUBCHANNELS: 4, FLAGS: 8, MAX_TRANSFER: 12 } as const;
/** Flag of the properties. */
export const SUPPORTS_MULTI_CHANNEL = 1;

/** Places in a SCSI request block, from the body on. */
export const Srb = {
  LENGTH: 0,
  SRB_STATUS: 2,
  SCSI_STATUS: 3,
  PATH: 5,
  TARGET: 6,
  LUN: 7,
  CDB_LENGTH: 8,
  SENSE_LENGTH: 9,
  DATA_IN: 10,
  TRANSFER_LENGTH: 12,
  /** The command on the way there, sense data on the way back. */
  CDB: 16,
} as const;
/** Bytes of a request block, and of one before version 5.1; the fields that count are in both. */
export const SRB_SIZE = 0x34;
export const OLD_SRB_SIZE = 0x24;
/** Bytes of the command, and of sense data, in a request block. */
export const CDB_SIZE = 16;
export const SENSE_ROOM = 20;

/** Which way the data of a request goes. */
export const Direction = { WRITE: 0, READ: 1, NONE: 2 } as const;
/** Names of directions. */
export const DIRECTION_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(Direction).map(([name, direction]) => [direction, name]),
);

/** How a request ended (the Windows driver kit's SRB_STATUS). */
export const SrbStatus = {
  SUCCESS: 0x01,
  ERROR: 0x04,
  INVALID_REQUEST: 0x06,
  DATA_OVERRUN: 0x12,
  INVALID_LUN: 0x20,
  INTERNAL_ERROR: 0x30,
} as const;
/** Names of request statuses. */
export const SRB_STATUS_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(SrbStatus).map(([name, status]) => [status, name]),
);
/** Flag of a request's status: there is sense data. */
export const AUTOSENSE_VALID = 0x80;
