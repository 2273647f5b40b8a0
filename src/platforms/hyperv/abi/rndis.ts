/** Remote NDIS as netvsc speaks it (MS-RNDIS; Linux include/linux/rndis.h and drivers/net/hyperv/hyperv_net.h). Little-endian. No behaviour. */

export const RndisMessage = {
  PACKET: 1,
  INITIALIZE: 2,
  HALT: 3,
  QUERY: 4,
  SET: 5,
  RESET: 6,
  INDICATE_STATUS: 7,
  KEEPALIVE: 8,
} as const;

/** Set in the type of an answer. */
export const RNDIS_COMPLETE = 0x8000_0000;

const MESSAGE_NAMES: ReadonlyMap<number, string> = new Map<number, string>([
  [RndisMessage.PACKET, 'REMOTE_NDIS_PACKET_MSG'],
  [RndisMessage.INITIALIZE, 'REMOTE_NDIS_INITIALIZE_MSG'],
  [RndisMessage.HALT, 'REMOTE_NDIS_HALT_MSG'],
  [RndisMessage.QUERY, 'REMOTE_NDIS_QUERY_MSG'],
  [RndisMessage.SET, 'REMOTE_NDIS_SET_MSG'],
  [RndisMessage.RESET, 'REMOTE_NDIS_RESET_MSG'],
  [RndisMessage.INDICATE_STATUS, 'REMOTE_NDIS_INDICATE_STATUS_MSG'],
  [RndisMessage.KEEPALIVE, 'REMOTE_NDIS_KEEPALIVE_MSG'],
]);

/** `REMOTE_NDIS_QUERY_MSG`, or the number of a type that isn't one. */
export function rndisMessageName(type: number): string {
  return MESSAGE_NAMES.get(type) ?? `RNDIS message ${type}`;
}

export const RndisStatus = {
  SUCCESS: 0,
  FAILURE: 0xc000_0001,
  NOT_SUPPORTED: 0xc000_00bb,
  MULTICAST_FULL: 0xc001_0009,
  INVALID_LENGTH: 0xc001_0014,
  INVALID_DATA: 0xc001_0015,
  MEDIA_CONNECT: 0x4001_000b,
  MEDIA_DISCONNECT: 0x4001_000c,
} as const;

const STATUS_NAMES: ReadonlyMap<number, string> = new Map<number, string>(
  Object.entries(RndisStatus).map(([name, value]) => [value, `RNDIS_STATUS_${name}`]),
);

/** `RNDIS_STATUS_SUCCESS`. */
export function rndisStatusName(status: number): string {
  return STATUS_NAMES.get(status) ?? `status ${status}`;
}

/** Type and length, which each message begins with. Offsets in a message are from behind them. */
export const RNDIS_HEADER = 8;
/** Bytes of a data message before what belongs to it: its own header, and nine fields. */
export const RNDIS_PACKET_HEADER = RNDIS_HEADER + 36;
/** Size, type and offset before each piece of information about a packet. */
export const PACKET_INFO_HEADER = 12;

/** What is told about a packet, by number. */
export const PacketInfo = { CHECKSUM: 0, LARGE_SEND: 2, IEEE_8021Q: 6 } as const;

/** What a guest asks about its adapter, or sets (NDIS, "OID"). */
export const Oid = {
  GEN_SUPPORTED_LIST: 0x0001_0101,
  GEN_HARDWARE_STATUS: 0x0001_0102,
  GEN_MEDIA_SUPPORTED: 0x0001_0103,
  GEN_MEDIA_IN_USE: 0x0001_0104,
  GEN_MAXIMUM_LOOKAHEAD: 0x0001_0105,
  GEN_MAXIMUM_FRAME_SIZE: 0x0001_0106,
  GEN_LINK_SPEED: 0x0001_0107,
  GEN_TRANSMIT_BUFFER_SPACE: 0x0001_0108,
  GEN_RECEIVE_BUFFER_SPACE: 0x0001_0109,
  GEN_TRANSMIT_BLOCK_SIZE: 0x0001_010a,
  GEN_RECEIVE_BLOCK_SIZE: 0x0001_010b,
  GEN_VENDOR_ID: 0x0001_010c,
  GEN_VENDOR_DESCRIPTION: 0x0001_010d,
  GEN_CURRENT_PACKET_FILTER: 0x0001_010e,
  GEN_CURRENT_LOOKAHEAD: 0x0001_010f,
  GEN_DRIVER_VERSION: 0x0001_0110,
  GEN_MAXIMUM_TOTAL_SIZE: 0x0001_0111,
  GEN_PROTOCOL_OPTIONS: 0x0001_0112,
  GEN_MAC_OPTIONS: 0x0001_0113,
  GEN_MEDIA_CONNECT_STATUS: 0x0001_0114,
  GEN_MAXIMUM_SEND_PACKETS: 0x0001_0115,
  GEN_VENDOR_DRIVER_VERSION: 0x0001_0116,
  GEN_NETWORK_LAYER_ADDRESSES: 0x0001_0118,
  GEN_RECEIVE_SCALE_CAPABILITIES: 0x0001_0203,
  GEN_RECEIVE_SCALE_PARAMETERS: 0x0001_0204,
  GEN_RNDIS_CONFIG_PARAMETER: 0x0001_021b,
  GEN_TRANSMIT_OK: 0x0002_0101,
  GEN_RECEIVE_OK: 0x0002_0102,
  GEN_TRANSMIT_ERROR: 0x0002_0103,
  GEN_RECEIVE_ERROR: 0x0002_0104,
  GEN_RECEIVE_NO_BUFFER: 0x0002_0105,
  ETHERNET_PERMANENT_ADDRESS: 0x0101_0101,
  ETHERNET_CURRENT_ADDRESS: 0x0101_0102,
  ETHERNET_MULTICAST_LIST: 0x0101_0103,
  ETHERNET_MAXIMUM_LIST_SIZE: 0x0101_0104,
  ETHERNET_RECEIVE_ERROR_ALIGNMENT: 0x0102_0101,
  ETHERNET_TRANSMIT_ONE_COLLISION: 0x0102_0102,
  ETHERNET_TRANSMIT_MORE_COLLISIONS: 0x0102_0103,
  OFFLOAD_ENCAPSULATION: 0x0101_010a,
  TCP_OFFLOAD_CURRENT_CONFIG: 0xfc01_020b,
  TCP_OFFLOAD_PARAMETERS: 0xfc01_020c,
  TCP_OFFLOAD_HARDWARE_CAPABILITIES: 0xfc01_020d,
} as const;

const OID_NAMES: ReadonlyMap<number, string> = new Map<number, string>(
  Object.entries(Oid).map(([name, value]) => [
    value,
    `OID_${name.replace('ETHERNET_', '802_3_').replace('TRANSMIT_OK', 'XMIT_OK').replace('RECEIVE_OK', 'RCV_OK')}`,
  ]),
);

/** `OID_GEN_LINK_SPEED`, or the number of one that isn't known. */
export function oidName(oid: number): string {
  return OID_NAMES.get(oid) ?? `OID 0x${oid.toString(16)}`;
}

/** Bits of the packet filter: which frames the guest wants. */
export const PacketFilter = { DIRECTED: 0x01, MULTICAST: 0x02, ALL_MULTICAST: 0x04, BROADCAST: 0x08, PROMISCUOUS: 0x20 } as const;

/** `directed, broadcast`. */
export function packetFilterText(filter: number): string {
  const names = Object.entries(PacketFilter).flatMap(([name, bit]) => (filter & bit ? name.toLowerCase().replace('_', ' ') : []));
  return names.length > 0 ? names.join(', ') : 'none';
}

/** Types of objects that NDIS's structures name in their first byte. */
export const NdisObject = { RSS_CAPABILITIES: 0x88, RSS_PARAMETERS: 0x89, OFFLOAD: 0xa7 } as const;

/** Reading the OFFLOAD structure: how long it is in which revision, by the NDIS version that the guest told. */
export const OFFLOAD_SIZES = [112, 144, 156] as const;
/** Places in it: what checksums are made when sending by IPv4 and IPv6, and which TCP segments over IPv4 are cut. */
export const OffloadPlace = { TX_IPV4: 4, TX_IPV6: 20, LSO_V2_IPV4: 80 } as const;
/** Frames as on Ethernet (encapsulation IEEE 802.3). */
export const ENCAPSULATION_8023 = 2;
export const TxChecksum = { IP_OPTIONS: 0x01, TCP_OPTIONS: 0x04, TCP: 0x10, UDP: 0x40, IP: 0x100 } as const;

/** Receive side scaling: hashing by Toeplitz over addresses, and over addresses and ports of TCP. */
export const RssHash = { TOEPLITZ: 0x001, IPV4: 0x100, TCP_IPV4: 0x200 } as const;
export const RSS_CAPABILITY_TCP_IPV4 = 0x100;
export const RssFlag = { TABLE_UNCHANGED: 4, KEY_UNCHANGED: 8, DISABLE: 0x10 } as const;
/** Places in the parameters, and the most entries and bytes that they may name. */
export const RssPlace = { FLAGS: 4, HASH: 8, TABLE_SIZE: 12, TABLE_OFFSET: 16, KEY_SIZE: 20, KEY_OFFSET: 24, END: 28 } as const;
export const RSS_TABLE_ENTRIES = 128;
export const RSS_KEY_SIZE = 40;
