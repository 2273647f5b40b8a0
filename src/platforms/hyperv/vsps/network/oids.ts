import { writeMac } from '../../../../network/packets/addresses.ts';
import { joined, viewOf } from '../../../../network/packets/bytes.ts';
import {
  ENCAPSULATION_8023,
  NdisObject,
  OFFLOAD_SIZES,
  OffloadPlace,
  Oid,
  RSS_CAPABILITY_TCP_IPV4,
  RSS_TABLE_ENTRIES,
  TxChecksum,
} from '../../abi/rndis.ts';
import { RECEIVE_SECTION, SEND_SECTION } from './receive-buffer.ts';
import { PACKETS_PER_MESSAGE } from './rndis-packet.ts';

/** What an adapter is like at a time. */
export interface AdapterFacts {
  readonly isLinkUp: boolean;
  /** Channels that the guest may have. */
  readonly queues: number;
  /** Minor number of the version of NDIS 6 that the guest told. */
  readonly ndisMinor: number;
  readonly receiveSections: number;
  readonly sendSections: number;
  readonly sent: number;
  readonly received: number;
  /** Frames of the guest that couldn't be sent, and frames for it that found no room. */
  readonly refused: number;
  readonly lost: number;
}

/** What the guest has set. */
export interface AdapterSettings {
  readonly permanentMac: number;
  readonly mac: number;
  readonly filter: number;
  readonly lookahead: number;
  readonly multicast: readonly number[];
}

const MTU = 1500;
const LONGEST_FRAME = 1514;
/** 10 Gbit/s, in units of 100 bit/s. */
const LINK_SPEED = 100_000_000;
const DESCRIPTION = 'Hyperscope virtual switch port';
/** No number of IEEE's: the vendor's is the last three bytes of three. */
const VENDOR = 0x00ff_ffff;
const DRIVER_VERSION = 0x0600;
/** Bits of OID_GEN_MAC_OPTIONS: copies of received data may be kept, transfers don't pend, no loopback. */
const MAC_OPTIONS = 0x01 | 0x04 | 0x08;
const MULTICAST_ADDRESSES = 32;
const LONGEST_SEGMENT = 0xffff;
const FEWEST_SEGMENTS = 2;
const NDIS_6_1 = 1;
const NDIS_6_30 = 30;

type Answer = (facts: AdapterFacts, settings: AdapterSettings) => Uint8Array;

const number = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
};
const constant =
  (value: number): Answer =>
  () =>
    number(value);
const address = (mac: number): Uint8Array => {
  const bytes = new Uint8Array(6);
  writeMac(viewOf(bytes), 0, mac);
  return bytes;
};

/** What an adapter says when it is asked. */
const ANSWERS: ReadonlyMap<number, Answer> = new Map<number, Answer>([
  [Oid.GEN_SUPPORTED_LIST, () => joined(...[...ANSWERS.keys(), ...SET_ONLY].map(number))],
  [Oid.GEN_HARDWARE_STATUS, constant(0)],
  [Oid.GEN_MEDIA_SUPPORTED, constant(0)],
  [Oid.GEN_MEDIA_IN_USE, constant(0)],
  [Oid.GEN_MAXIMUM_LOOKAHEAD, constant(MTU)],
  [Oid.GEN_CURRENT_LOOKAHEAD, (_, { lookahead }) => number(lookahead)],
  [Oid.GEN_MAXIMUM_FRAME_SIZE, constant(MTU)],
  [Oid.GEN_MAXIMUM_TOTAL_SIZE, constant(LONGEST_FRAME)],
  [Oid.GEN_LINK_SPEED, constant(LINK_SPEED)],
  [Oid.GEN_TRANSMIT_BUFFER_SPACE, ({ sendSections }) => number(sendSections * SEND_SECTION)],
  [Oid.GEN_RECEIVE_BUFFER_SPACE, ({ receiveSections }) => number(receiveSections * RECEIVE_SECTION)],
  [Oid.GEN_TRANSMIT_BLOCK_SIZE, constant(1)],
  [Oid.GEN_RECEIVE_BLOCK_SIZE, constant(1)],
  [Oid.GEN_VENDOR_ID, constant(VENDOR)],
  [Oid.GEN_VENDOR_DESCRIPTION, () => new TextEncoder().encode(`${DESCRIPTION}\0`)],
  [Oid.GEN_VENDOR_DRIVER_VERSION, constant(DRIVER_VERSION)],
  [Oid.GEN_DRIVER_VERSION, () => number(DRIVER_VERSION).slice(0, 2)],
  [Oid.GEN_CURRENT_PACKET_FILTER, (_, { filter }) => number(filter)],
  [Oid.GEN_MAC_OPTIONS, constant(MAC_OPTIONS)],
  [Oid.GEN_MEDIA_CONNECT_STATUS, ({ isLinkUp }) => number(isLinkUp ? 0 : 1)],
  [Oid.GEN_MAXIMUM_SEND_PACKETS, constant(PACKETS_PER_MESSAGE)],
  [Oid.GEN_TRANSMIT_OK, ({ sent }) => number(sent)],
  [Oid.GEN_RECEIVE_OK, ({ received }) => number(received)],
  [Oid.GEN_TRANSMIT_ERROR, ({ refused }) => number(refused)],
  [Oid.GEN_RECEIVE_ERROR, constant(0)],
  [Oid.GEN_RECEIVE_NO_BUFFER, ({ lost }) => number(lost)],
  [Oid.ETHERNET_PERMANENT_ADDRESS, (_, { permanentMac }) => address(permanentMac)],
  [Oid.ETHERNET_CURRENT_ADDRESS, (_, { mac }) => address(mac)],
  [Oid.ETHERNET_MULTICAST_LIST, (_, { multicast }) => joined(...multicast.map(address))],
  [Oid.ETHERNET_MAXIMUM_LIST_SIZE, constant(MULTICAST_ADDRESSES)],
  [Oid.ETHERNET_RECEIVE_ERROR_ALIGNMENT, constant(0)],
  [Oid.ETHERNET_TRANSMIT_ONE_COLLISION, constant(0)],
  [Oid.ETHERNET_TRANSMIT_MORE_COLLISIONS, constant(0)],
  [Oid.GEN_RECEIVE_SCALE_CAPABILITIES, ({ queues }) => scalingCapabilities(queues)],
  [Oid.TCP_OFFLOAD_HARDWARE_CAPABILITIES, ({ ndisMinor }) => offloads(ndisMinor)],
  [Oid.TCP_OFFLOAD_CURRENT_CONFIG, ({ ndisMinor }) => offloads(ndisMinor)],
]);

const SET_ONLY: readonly number[] = [
  Oid.GEN_RECEIVE_SCALE_PARAMETERS,
  Oid.GEN_RNDIS_CONFIG_PARAMETER,
  Oid.TCP_OFFLOAD_PARAMETERS,
  Oid.OFFLOAD_ENCAPSULATION,
];

/** Whether an OID can be asked or set. */
export function knownOid(oid: number): boolean {
  return ANSWERS.has(oid) || SET_ONLY.includes(oid);
}

/** What the adapter answers to a query; undefined for what it doesn't know. */
export function queryOid(oid: number, facts: AdapterFacts, settings: AdapterSettings): Uint8Array | undefined {
  return ANSWERS.get(oid)?.(facts, settings);
}

/** NDIS_RECEIVE_SCALE_CAPABILITIES: {header, flags, interrupts, queues, u16 entries of the table}. */
function scalingCapabilities(queues: number): Uint8Array {
  const bytes = new Uint8Array(18);
  const view = viewOf(bytes);
  writeHeader(view, NdisObject.RSS_CAPABILITIES, 2, bytes.length);
  view.setUint32(4, RSS_CAPABILITY_TCP_IPV4 | 1, true);
  view.setUint32(8, queues, true);
  view.setUint32(12, queues, true);
  view.setUint16(16, RSS_TABLE_ENTRIES, true);
  return bytes;
}

/** NDIS_OFFLOAD: checksums that are made, and segments that are cut, when the guest sends. Nothing is said of what was checked in frames that come. */
function offloads(ndisMinor: number): Uint8Array {
  const revision = ndisMinor >= NDIS_6_30 ? 3 : ndisMinor >= NDIS_6_1 ? 2 : 1;
  const bytes = new Uint8Array(OFFLOAD_SIZES[revision - 1] ?? OFFLOAD_SIZES[0]);
  const view = viewOf(bytes);
  const { TCP, TCP_OPTIONS, UDP, IP, IP_OPTIONS } = TxChecksum;
  writeHeader(view, NdisObject.OFFLOAD, revision, bytes.length);
  const pairs = [
    [OffloadPlace.TX_IPV4, IP | IP_OPTIONS | TCP | TCP_OPTIONS | UDP],
    [OffloadPlace.TX_IPV6, IP_OPTIONS | TCP | TCP_OPTIONS | UDP],
    [OffloadPlace.LSO_V2_IPV4, LONGEST_SEGMENT],
  ] as const;
  for (const [place, value] of pairs) {
    view.setUint32(place, ENCAPSULATION_8023, true);
    view.setUint32(place + 4, value, true);
  }
  view.setUint32(OffloadPlace.LSO_V2_IPV4 + 8, FEWEST_SEGMENTS, true);
  return bytes;
}

function writeHeader(view: DataView, type: number, revision: number, size: number): void {
  view.setUint8(0, type);
  view.setUint8(1, revision);
  view.setUint16(2, size, true);
}
