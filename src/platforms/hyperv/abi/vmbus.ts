/**
 * The messages of the VMBus's control path, as tables (layouts: Linux include/linux/hyperv.h; names and numbers as OpenVMM's vmbus_core
 * has them, too). A message is a header of 8 bytes (its type, and zero) and fields at fixed offsets; all numbers are little-endian.
 */

/** Numbers of messages. */
export const VmbusType = {
  OFFER_CHANNEL: 1,
  RESCIND_CHANNEL_OFFER: 2,
  REQUEST_OFFERS: 3,
  ALL_OFFERS_DELIVERED: 4,
  OPEN_CHANNEL: 5,
  OPEN_CHANNEL_RESULT: 6,
  CLOSE_CHANNEL: 7,
  GPADL_HEADER: 8,
  GPADL_BODY: 9,
  GPADL_CREATED: 10,
  GPADL_TEARDOWN: 11,
  GPADL_TORNDOWN: 12,
  RELID_RELEASED: 13,
  INITIATE_CONTACT: 14,
  VERSION_RESPONSE: 15,
  UNLOAD: 16,
  UNLOAD_COMPLETE: 17,
  OPEN_RESERVED_CHANNEL: 18,
  CLOSE_RESERVED_CHANNEL: 19,
  CLOSE_RESERVED_RESPONSE: 20,
  TL_CONNECT_REQUEST: 21,
  MODIFY_CHANNEL: 22,
  TL_CONNECT_RESULT: 23,
  MODIFY_CHANNEL_RESPONSE: 24,
  MODIFY_CONNECTION: 25,
  MODIFY_CONNECTION_RESPONSE: 26,
  PAUSE: 27,
  PAUSE_RESPONSE: 28,
  RESUME: 29,
} as const;
export type VmbusTypeName = keyof typeof VmbusType;

/** Versions of the protocol: the major number in the upper 16 bits. */
export const VmbusVersion = {
  WS2008: 0x0000_000d,
  WIN7: 0x0001_0001,
  WIN8: 0x0002_0004,
  WIN8_1: 0x0003_0000,
  WIN10: 0x0004_0000,
  WIN10_4_1: 0x0004_0001,
  WIN10_5_0: 0x0005_0000,
  WIN10_5_1: 0x0005_0001,
  WIN10_5_2: 0x0005_0002,
  IRON: 0x0005_0003,
  COPPER: 0x0006_0000,
} as const;

/** Versions that a host of Windows Server 2022 speaks. */
export const SPOKEN_VERSIONS: readonly number[] = Object.values(VmbusVersion).filter(
  (version) => version !== VmbusVersion.COPPER,
);

/** `5.3` */
export function versionText(version: number): string {
  return `${version >>> 16}.${version & 0xffff}`;
}

/** Type of a SynIC message that carries one of these. */
export const CHANNEL_MESSAGE = 1;
/** Connections that every guest has: for messages (up to 4.x, and from 5.0 on), for events, for monitor pages. */
export const MESSAGE_CONNECTION = 1;
export const EVENT_CONNECTION = 2;
export const MESSAGE_CONNECTION_5 = 4;
/** Where a guest of version 5.0 or later sends its messages once it was told so. */
export const REDIRECT_CONNECTION = 0x80_0074;
/** The interrupt source that messages and channels have where a guest doesn't choose one. */
export const VMBUS_SINT = 2;
/** Channels are numbered from 1; the number is also an event flag, of which there are so many. */
export const MOST_CHANNELS = 2047;
/** A target vCPU that means: no interrupts for this channel. */
export const NO_TARGET_VCPU = 0xffff_ffff;
export const USER_DATA_SIZE = 120;
/** Bytes that a message can have at most. */
export const LONGEST_MESSAGE = 240;

/** What answers say (NTSTATUS). */
export const NtStatus = {
  SUCCESS: 0,
  UNSUCCESSFUL: 0xc000_0001,
  INVALID_PARAMETER: 0xc000_000d,
  INSUFFICIENT_RESOURCES: 0xc000_009a,
  CONNECTION_REFUSED: 0xc000_0236,
} as const;

/** Flags of an offer. */
export const OfferFlag = {
  ENUMERATE_INTERFACE: 0x1,
  CONFIDENTIAL_RING: 0x2,
  CONFIDENTIAL_EXTERNAL: 0x4,
  NAMED_PIPE: 0x10,
  TL_NPI_PROVIDER: 0x2000,
} as const;

/** Features of a connection, which only versions from 6.0 on agree on. */
export const VmbusFeature = {
  GUEST_SIGNAL_PARAMETERS: 0x01,
  INTERRUPT_REDIRECTION: 0x02,
  MODIFY_CONNECTION: 0x04,
  CLIENT_ID: 0x08,
  CONFIDENTIAL_CHANNELS: 0x10,
  PAUSE_RESUME: 0x20,
  SERVER_MONITOR_PAGES: 0x40,
} as const;

/** A field of a message: bytes from its start. `guid` has 16 bytes; `rest` has all that follow. */
export interface MessageField {
  readonly name: string;
  readonly at: number;
  readonly size: 1 | 2 | 4 | 8 | 'guid' | 'rest';
  /** Shown as hexadecimal. */
  readonly isHex?: boolean;
}

export interface MessageRow {
  readonly type: number;
  readonly name: VmbusTypeName;
  readonly from: 'guest' | 'host';
  /** Bytes that it has at least, with the header. */
  readonly size: number;
  readonly fields: readonly MessageField[];
}

export const HEADER_SIZE = 8;

type FieldText = readonly [name: string, at: number, size: MessageField['size'], isHex?: 'hex'];

function row(from: 'guest' | 'host', name: VmbusTypeName, size: number, ...fields: readonly FieldText[]): MessageRow {
  return {
    type: VmbusType[name],
    name,
    from,
    size: HEADER_SIZE + size,
    fields: fields.map(([field, at, width, isHex]) => ({
      name: field,
      at: HEADER_SIZE + at,
      size: width,
      isHex: isHex !== undefined,
    })),
  };
}

export const VMBUS_MESSAGES: readonly MessageRow[] = [
  row(
    'host',
    'OFFER_CHANNEL',
    188,
    ['interface', 0, 'guid'],
    ['instance', 16, 'guid'],
    ['flags', 48, 2, 'hex'],
    ['mmio_megabytes', 50, 2],
    ['pipe_mode', 52, 4],
    ['subchannel', 172, 2],
    ['channel', 176, 4],
    ['monitor', 180, 1],
    ['is_monitored', 181, 1],
    ['is_dedicated', 182, 2],
    ['connection', 184, 4, 'hex'],
  ),
  row('host', 'RESCIND_CHANNEL_OFFER', 4, ['channel', 0, 4]),
  row('guest', 'REQUEST_OFFERS', 0),
  row('host', 'ALL_OFFERS_DELIVERED', 0),
  row(
    'guest',
    'OPEN_CHANNEL',
    20,
    ['channel', 0, 4],
    ['open_id', 4, 4],
    ['gpadl', 8, 4, 'hex'],
    ['vcpu', 12, 4],
    ['downstream_page', 16, 4],
    ['user_data', 20, 'rest'],
  ),
  row('host', 'OPEN_CHANNEL_RESULT', 12, ['channel', 0, 4], ['open_id', 4, 4], ['status', 8, 4, 'hex']),
  row('guest', 'CLOSE_CHANNEL', 4, ['channel', 0, 4]),
  row(
    'guest',
    'GPADL_HEADER',
    12,
    ['channel', 0, 4],
    ['gpadl', 4, 4, 'hex'],
    ['range_bytes', 8, 2],
    ['ranges', 10, 2],
    ['data', 12, 'rest'],
  ),
  row('guest', 'GPADL_BODY', 8, ['number', 0, 4], ['gpadl', 4, 4, 'hex'], ['data', 8, 'rest']),
  row('host', 'GPADL_CREATED', 12, ['channel', 0, 4], ['gpadl', 4, 4, 'hex'], ['status', 8, 4, 'hex']),
  row('guest', 'GPADL_TEARDOWN', 8, ['channel', 0, 4], ['gpadl', 4, 4, 'hex']),
  row('host', 'GPADL_TORNDOWN', 4, ['gpadl', 0, 4, 'hex']),
  row('guest', 'RELID_RELEASED', 4, ['channel', 0, 4]),
  row(
    'guest',
    'INITIATE_CONTACT',
    32,
    ['version', 0, 4, 'hex'],
    ['vcpu', 4, 4],
    // Up to 4.1 the address of the interrupt page, from 5.0 on: interrupt source, trust level, zero, features.
    ['target', 8, 8, 'hex'],
    ['host_monitor_page', 16, 8, 'hex'],
    ['guest_monitor_page', 24, 8, 'hex'],
  ),
  row('host', 'VERSION_RESPONSE', 8, ['supported', 0, 1], ['state', 1, 1], ['connection', 4, 4, 'hex']),
  row('guest', 'UNLOAD', 0),
  row('host', 'UNLOAD_COMPLETE', 0),
  row(
    'guest',
    'OPEN_RESERVED_CHANNEL',
    20,
    ['channel', 0, 4],
    ['vcpu', 4, 4],
    ['sint', 8, 4],
    ['gpadl', 12, 4, 'hex'],
    ['downstream_page', 16, 4],
  ),
  row('guest', 'CLOSE_RESERVED_CHANNEL', 12, ['channel', 0, 4], ['vcpu', 4, 4], ['sint', 8, 4]),
  row('host', 'CLOSE_RESERVED_RESPONSE', 4, ['channel', 0, 4]),
  row('guest', 'TL_CONNECT_REQUEST', 32, ['endpoint', 0, 'guid'], ['service', 16, 'guid']),
  row('guest', 'MODIFY_CHANNEL', 8, ['channel', 0, 4], ['vcpu', 4, 4]),
  row('host', 'TL_CONNECT_RESULT', 36, ['endpoint', 0, 'guid'], ['service', 16, 'guid'], ['status', 32, 4, 'hex']),
  row('host', 'MODIFY_CHANNEL_RESPONSE', 8, ['channel', 0, 4], ['status', 4, 4, 'hex']),
  row('guest', 'MODIFY_CONNECTION', 16, ['host_monitor_page', 0, 8, 'hex'], ['guest_monitor_page', 8, 8, 'hex']),
  row('host', 'MODIFY_CONNECTION_RESPONSE', 4, ['state', 0, 1]),
  row('guest', 'PAUSE', 0),
  row('host', 'PAUSE_RESPONSE', 0),
  row('guest', 'RESUME', 0),
];

const BY_TYPE = new Map(VMBUS_MESSAGES.map((message) => [message.type, message]));

/** The row of a message's type; undefined for a number that is none. */
export function messageRow(type: number): MessageRow | undefined {
  return BY_TYPE.get(type);
}

/** `OPEN_CHANNEL`, or the number of a type that has no name. */
export function messageName(type: number): string {
  return BY_TYPE.get(type)?.name ?? `message ${type}`;
}
