/** NVSP, the protocol between netvsc and the network VSP (Linux drivers/net/hyperv/hyperv_net.h). Integers are little-endian. No behaviour. */

/** Interface of network devices, and the first network adapter of a partition. */
export const NETWORK_INTERFACE = 'f8615163-df3e-46c5-913f-f2d2f965ed0e';

/** Versions of the protocol, each with the features of those before. */
export const NvspVersion = { V1: 0x00002, V2: 0x30002, V4: 0x40000, V5: 0x50000, V6: 0x60000, V61: 0x60001 } as const;

export const NVSP_VERSIONS: readonly number[] = Object.values(NvspVersion);

/** `6.1`. Version 1 is 0.2 as a number. */
export function nvspVersionName(version: number): string {
  return `${version >>> 16}.${version & 0xffff}`;
}

export const NvspMessage = {
  INIT: 1,
  INIT_COMPLETE: 2,
  SEND_NDIS_VERSION: 100,
  SEND_RECEIVE_BUFFER: 101,
  SEND_RECEIVE_BUFFER_COMPLETE: 102,
  REVOKE_RECEIVE_BUFFER: 103,
  SEND_SEND_BUFFER: 104,
  SEND_SEND_BUFFER_COMPLETE: 105,
  REVOKE_SEND_BUFFER: 106,
  SEND_RNDIS_PACKET: 107,
  SEND_RNDIS_PACKET_COMPLETE: 108,
  SEND_NDIS_CONFIG: 125,
  SEND_VF_ASSOCIATION: 128,
  SWITCH_DATA_PATH: 129,
  OID_QUERY_EX: 131,
  OID_QUERY_EX_COMPLETE: 132,
  SUBCHANNEL: 133,
  SEND_INDIRECTION_TABLE: 134,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map<number, string>([
  [NvspMessage.INIT, 'NVSP_MSG_TYPE_INIT'],
  [NvspMessage.INIT_COMPLETE, 'NVSP_MSG_TYPE_INIT_COMPLETE'],
  [NvspMessage.SEND_NDIS_VERSION, 'NVSP_MSG1_TYPE_SEND_NDIS_VER'],
  [NvspMessage.SEND_RECEIVE_BUFFER, 'NVSP_MSG1_TYPE_SEND_RECV_BUF'],
  [NvspMessage.SEND_RECEIVE_BUFFER_COMPLETE, 'NVSP_MSG1_TYPE_SEND_RECV_BUF_COMPLETE'],
  [NvspMessage.REVOKE_RECEIVE_BUFFER, 'NVSP_MSG1_TYPE_REVOKE_RECV_BUF'],
  [NvspMessage.SEND_SEND_BUFFER, 'NVSP_MSG1_TYPE_SEND_SEND_BUF'],
  [NvspMessage.SEND_SEND_BUFFER_COMPLETE, 'NVSP_MSG1_TYPE_SEND_SEND_BUF_COMPLETE'],
  [NvspMessage.REVOKE_SEND_BUFFER, 'NVSP_MSG1_TYPE_REVOKE_SEND_BUF'],
  [NvspMessage.SEND_RNDIS_PACKET, 'NVSP_MSG1_TYPE_SEND_RNDIS_PKT'],
  [NvspMessage.SEND_RNDIS_PACKET_COMPLETE, 'NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE'],
  [NvspMessage.SEND_NDIS_CONFIG, 'NVSP_MSG2_TYPE_SEND_NDIS_CONFIG'],
  [NvspMessage.SEND_VF_ASSOCIATION, 'NVSP_MSG4_TYPE_SEND_VF_ASSOCIATION'],
  [NvspMessage.SWITCH_DATA_PATH, 'NVSP_MSG4_TYPE_SWITCH_DATA_PATH'],
  [NvspMessage.OID_QUERY_EX, 'NVSP_MSG5_TYPE_OID_QUERY_EX'],
  [NvspMessage.OID_QUERY_EX_COMPLETE, 'NVSP_MSG5_TYPE_OID_QUERY_EX_COMP'],
  [NvspMessage.SUBCHANNEL, 'NVSP_MSG5_TYPE_SUBCHANNEL'],
  [NvspMessage.SEND_INDIRECTION_TABLE, 'NVSP_MSG5_TYPE_SEND_INDIRECTION_TABLE'],
]);

/** `NVSP_MSG1_TYPE_SEND_RNDIS_PKT`, or the number of a type that isn't one. */
export function nvspMessageName(type: number): string {
  return NAMES.get(type) ?? `NVSP message ${type}`;
}

export const NvspStatus = {
  NONE: 0,
  SUCCESS: 1,
  FAILURE: 2,
  PROTOCOL_TOO_NEW: 3,
  PROTOCOL_TOO_OLD: 4,
  INVALID_RNDIS_PACKET: 5,
  BUSY: 6,
  PROTOCOL_UNSUPPORTED: 7,
} as const;

const STATUS_NAMES = ['NONE', 'SUCCESS', 'FAIL', 'PROTOCOL_TOO_NEW', 'PROTOCOL_TOO_OLD', 'INVALID_RNDIS_PKT', 'BUSY'] as const;

/** `NVSP_STAT_SUCCESS`. */
export function nvspStatusName(status: number): string {
  return `NVSP_STAT_${STATUS_NAMES[status] ?? 'PROTOCOL_UNSUPPORTED'}`;
}

/** Bytes of a message, whatever its type: from 6.1 on they are more. */
export function nvspMessageSize(version: number): number {
  return version >= NvspVersion.V61 ? 0x28 : 0x1c;
}

/** Bits of the capabilities that a guest tells with its configuration. */
export const NdisCapability = { VMQ: 1, CHIMNEY: 2, SRIOV: 4, IEEE_8021Q: 8, CORRELATION_ID: 16, TEAMING: 32 } as const;

/** The set of transfer pages that a guest's receive buffer is, and what its send buffer has for a number. */
export const RECEIVE_BUFFER_ID = 0xcafe;
export const SEND_BUFFER_ID = 0;

/** Which of RNDIS's two channels a message belongs to. */
export const RndisChannel = { DATA: 0, CONTROL: 1 } as const;
/** The message is in no section of the send buffer. */
export const NO_SECTION = 0xffff_ffff;

/** What a request for subchannels asks for. */
export const SUBCHANNEL_ALLOCATE = 1;
/** Entries of the table that says on which channel a guest is to send what. */
export const SEND_TABLE_SIZE = 16;
/** Which way frames go: by the network VSP, or by a card that the guest was given. */
export const DataPath = { SYNTHETIC: 0, VF: 1 } as const;

/** A message: its type, and as many of its 32-bit fields as are known. `version` says how long it is. */
export function nvspMessage(version: number, type: number, ...fields: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(Math.max(nvspMessageSize(version), 4 + 4 * fields.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  fields.forEach((value, index) => {
    view.setUint32(4 + 4 * index, value, true);
  });
  return bytes;
}
