/**
 * Messages of the integration components (hyperv_ic_protocol of OpenVMM, hyperv.h of Linux): numbers and layouts, little-endian. A message
 * is behind a pipe header {u32 kind, u32 bytes} in an in-band packet.
 */

export const PIPE_HEADER = 8;
export const IC_HEADER = 20;
/** What a pipe header says of data. */
export const PIPE_DATA = 1;

export const IcMessage = { NEGOTIATE: 0, HEARTBEAT: 1, KVP_EXCHANGE: 2, SHUTDOWN: 3, TIME_SYNC: 4, VSS: 5 } as const;
export const IcFlag = { TRANSACTION: 1, REQUEST: 2, RESPONSE: 4 } as const;
export const IcStatus = { OK: 0, FAIL: 0x8000_4005, NO_MORE_ITEMS: 0x8007_0103 } as const;

/** What devices they are offered as: interface and instance. */
export const IcDevice = {
  heartbeat: ['57164f39-9115-4e78-ab55-382f3bd5422d', 'fd149e91-82e0-4a7d-afa6-2a4166cbd7c0'],
  shutdown: ['0e0b6031-5213-4934-818b-38d90ced39db', 'b6650ff7-33bc-4840-8048-e0676786f393'],
  timesync: ['9527e630-d0ae-497b-adce-e80ab0175caf', '2dd1ce17-079e-403c-b352-a1921ee207ee'],
  kvp: ['a9a0f4e7-5a45-4d96-b827-8a841e8c03e6', '242ff919-07db-4180-9c2e-b86cb68c8c55'],
  vss: ['35fa2e29-ea23-4236-96ae-3a6ebacba440', '2450ee40-33bf-4fbd-892e-9fb06e9214cf'],
} as const;

export interface IcVersion {
  readonly major: number;
  readonly minor: number;
}
export const version = (major: number, minor = 0): IcVersion => ({ major, minor });
export const versionText = ({ major, minor }: IcVersion): string => `${major}.${minor}`;

/** Versions of the framework, which is the header. */
export const FRAMEWORK_VERSIONS = [version(1), version(3)] as const;

/** A message with its header taken apart. */
export interface IcEnvelope {
  readonly type: number;
  readonly framework: IcVersion;
  readonly message: IcVersion;
  readonly status: number;
  readonly transaction: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** The payload of a packet with a message. */
export function encodeIc({ type, framework, message, status, transaction, flags, body }: IcEnvelope): Uint8Array {
  const bytes = new Uint8Array(PIPE_HEADER + IC_HEADER + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, PIPE_DATA, true);
  view.setUint32(4, IC_HEADER + body.length, true);
  [framework.major, framework.minor, type, message.major, message.minor, body.length].forEach((word, index) => {
    view.setUint16(PIPE_HEADER + 2 * index, word, true);
  });
  view.setUint32(PIPE_HEADER + 12, status, true);
  view.setUint8(PIPE_HEADER + 16, transaction);
  view.setUint8(PIPE_HEADER + 17, flags);
  bytes.set(body, PIPE_HEADER + IC_HEADER);
  return bytes;
}

/** Takes a payload apart; undefined where it is shorter than it says. What the pipe header says is not looked at: Linux doesn't fill it in. */
export function decodeIc(payload: Uint8Array): IcEnvelope | undefined {
  const start = PIPE_HEADER + IC_HEADER;
  if (payload.length < start) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const word = (index: number) => view.getUint16(PIPE_HEADER + 2 * index, true);
  const size = word(5);
  if (start + size > payload.length) return undefined;
  return {
    type: word(2),
    framework: version(word(0), word(1)),
    message: version(word(3), word(4)),
    status: view.getUint32(PIPE_HEADER + 12, true),
    transaction: view.getUint8(PIPE_HEADER + 16),
    flags: view.getUint8(PIPE_HEADER + 17),
    body: payload.slice(start, start + size),
  };
}

/** {u16 framework versions, u16 message versions, u32 0, then those}. */
const NEGOTIATE_HEADER = 8;

/** Offers versions of the framework and of a component's messages. */
export function encodeNegotiation(frameworks: readonly IcVersion[], messages: readonly IcVersion[]): Uint8Array {
  const all = [...frameworks, ...messages];
  const view = new DataView(new ArrayBuffer(NEGOTIATE_HEADER + 4 * all.length));
  view.setUint16(0, frameworks.length, true);
  view.setUint16(2, messages.length, true);
  all.forEach(({ major, minor }, index) => {
    view.setUint16(NEGOTIATE_HEADER + 4 * index, major, true);
    view.setUint16(NEGOTIATE_HEADER + 4 * index + 2, minor, true);
  });
  return new Uint8Array(view.buffer);
}

/** Which two the guest has chosen; undefined where it says that none of them suits it, or nothing that makes sense. */
export function decodeChoice(body: Uint8Array): { readonly framework: IcVersion; readonly message: IcVersion } | undefined {
  if (body.length < NEGOTIATE_HEADER + 8) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  if (view.getUint16(0, true) !== 1 || view.getUint16(2, true) !== 1) return undefined;
  const at = (place: number) => version(view.getUint16(place, true), view.getUint16(place + 2, true));
  return { framework: at(NEGOTIATE_HEADER), message: at(NEGOTIATE_HEADER + 4) };
}

// --- messages ----------------------------------------------------------------------------------------------------------

/** Heartbeat: {u64 sequence, u32 state of the guest's applications, u32 reserved}. The guest answers with the next number. */
export const HEARTBEAT_SIZE = 16;
export const ApplicationState: Readonly<Record<number, string>> = { 0: 'unknown', 1: 'healthy', 2: 'critical', 3: 'stopped' };

/** Shutdown: {u32 reason, u32 seconds that applications get, u32 flags, UTF-16 message of 2048 bytes}. */
export const SHUTDOWN_SIZE = 12 + 2048;
export const ShutdownFlag = { FORCE: 1, RESTART: 2, HIBERNATE: 4 } as const;
/** A planned shutdown (SHTDN_REASON_FLAG_PLANNED). */
export const SHUTDOWN_PLANNED = 0x8000_0000;

/** Time synchronization. Before version 4: {u64 parent's time, u64 guest's, u64 round trip, u8 flags}; then {u64 parent's time, u64 reference time, u8 flags, u8 leap indicator, u8 stratum, 5 reserved}. */
export const TIME_SYNC_SIZE = { before4: 25, from4: 24 } as const;
export const TimeSyncFlag = { SYNC: 1, SAMPLE: 2 } as const;
/** Seconds from 1601 to 1970. */
export const FILE_TIME_EPOCH = 11_644_473_600n;

/** Backups: {u8 operation, 7 reserved, u32 flags}. */
export const VSS_SIZE = 12;
export const VssOperation = { HOT_BACKUP: 2, FREEZE: 5, THAW: 6 } as const;
export function vssOperationName(operation: number): string {
  return Object.entries(VssOperation).find(([, number]) => number === operation)?.[0] ?? String(operation);
}

/** Key-value pairs: {u8 operation, u8 pool, u16 0}, then what the operation takes. */
export const KvpOperation = { GET: 0, SET: 1, DELETE: 2, ENUMERATE: 3, GET_IP_INFO: 4 } as const;
/** Whose pairs: the host's for the guest, the guest's own, and what the guest's service says of its system. */
export const KvpPool = { EXTERNAL: 0, GUEST: 1, AUTO: 2 } as const;
export const KVP_POOL_NAMES: Readonly<Record<number, string>> = { 0: 'external', 1: 'guest', 2: 'auto' };
export const KVP_HEADER = 4;
export const KVP_LONGEST_KEY = 512;
export const KVP_LONGEST_VALUE = 2048;
/** {u32 type, u32 bytes of the key, u32 bytes of the value, key, value}, with texts in UTF-16 up to their NUL. */
export const KVP_VALUE_SIZE = 12 + KVP_LONGEST_KEY + KVP_LONGEST_VALUE;
export const KvpType = { TEXT: 1, U32: 4, U64: 8 } as const;
/** {u8 operation, u8 pool} of a request for addresses: Linux packs them without the two bytes that pad the others' header. */
export const KVP_ADDRESSES_HEADER = 2;
/**
 * What is at a network card, whose address is the adapter: {adapter, u8 families, u8 whether by DHCP, addresses, subnets, gateways, name
 * servers}, texts in UTF-16, several with semicolons between.
 */
export const KvpAddresses = {
  ADAPTER: { at: 0, size: 256 },
  FAMILIES: 256,
  DHCP: 257,
  ADDRESSES: { at: 258, size: 2048 },
  SUBNETS: { at: 2306, size: 2048 },
  GATEWAYS: { at: 4354, size: 1024 },
  NAME_SERVERS: { at: 5378, size: 2048 },
  SIZE: 7426,
} as const;
