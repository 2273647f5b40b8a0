import type { TransmitWishes } from '../../../../devices/ethernet/offload.ts';
import { joined, viewOf } from '../../../../network/packets/bytes.ts';
import { ETHERNET_HEADER, EtherType } from '../../../../network/packets/ethernet.ts';
import { PACKET_INFO_HEADER, PacketInfo, RNDIS_HEADER, RNDIS_PACKET_HEADER, RndisMessage } from '../../abi/rndis.ts';

/** A frame that the guest sends, and what is to be done before it goes out. */
export interface OutgoingPacket {
  readonly frame: Uint8Array;
  readonly wishes: TransmitWishes;
  /** The checksum of the IPv4 header is to be made too. */
  readonly needsIpChecksum: boolean;
  /** The tag of the virtual network that the frames get (IEEE 802.1Q, 9.6). */
  readonly tag: number | undefined;
}

/** Places of the fields of a data message. */
const Place = { DATA_OFFSET: 8, DATA_LENGTH: 12, INFO_OFFSET: 28, INFO_LENGTH: 32 } as const;

const MESSAGES_AT_ONCE = 8;
/** Set in the number of information that NDIS keeps for itself. */
const INTERNAL = 0x8000_0000;

const IPV4_PLACE = ETHERNET_HEADER;
const CHECKSUM_IN_TCP = 16;
const CHECKSUM_IN_UDP = 6;
/** Bits of the information about checksums: which are to be made, and where TCP's header is. */
const ChecksumBit = { IPV4: 1, TCP: 4, UDP: 8, IP_HEADER: 16 } as const;
const HEADER_OFFSET_SHIFT = 16;
const HEADER_OFFSET_MASK = 0x3ff;
/** Fields of the information about long segments (NDIS_TCP_LARGE_SEND_OFFLOAD, version 2). */
const LARGE_SEND_SIZE = 0xf_ffff;
const LARGE_SEND_V2 = 1 << 30;
const LARGE_SEND_IPV6 = 1 << 31;

/** The RNDIS messages that a packet carries, one behind the other; undefined where one isn't whole, or they are too many. */
export function splitMessages(bytes: Uint8Array): readonly Uint8Array[] | undefined {
  const messages: Uint8Array[] = [];
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < RNDIS_HEADER || messages.length === MESSAGES_AT_ONCE) return undefined;
    const length = view.getUint32(at + 4, true);
    if (length < RNDIS_HEADER || length > bytes.length - at) return undefined;
    messages.push(bytes.subarray(at, at + length));
    at += length;
  }
  return messages.length > 0 ? messages : undefined;
}

/** Messages that a guest may put into one packet, and the power of two that each of them is padded to. */
export const PACKETS_PER_MESSAGE = MESSAGES_AT_ONCE;
export const ALIGNMENT_FACTOR = 3;

/** Reads a data message; the reason where it can't be followed. */
export function readPacket(message: Uint8Array): OutgoingPacket | string {
  if (message.length < RNDIS_PACKET_HEADER) return 'shorter than the header of a packet';
  const view = viewOf(message);
  const field = (place: number) => view.getUint32(place, true);
  const frame = part(message, field(Place.DATA_OFFSET), field(Place.DATA_LENGTH));
  if (frame === undefined) return 'its data is outside of it';
  if (frame.length < ETHERNET_HEADER) return 'shorter than an Ethernet header';
  const info = part(message, field(Place.INFO_OFFSET), field(Place.INFO_LENGTH));
  if (info === undefined) return 'the information about it is outside of it';
  const values = readInfo(info);
  if (values === undefined) return 'the information about it has wrong sizes';
  const [checksum = 0, largeSend, vlan] = [PacketInfo.CHECKSUM, PacketInfo.LARGE_SEND, PacketInfo.IEEE_8021Q].map((type) =>
    values.get(type),
  );
  if (largeSend !== undefined && (!(largeSend & LARGE_SEND_V2) || largeSend & LARGE_SEND_IPV6))
    return 'only long segments over IPv4 can be cut';
  return {
    // The caller changes it.
    frame: frame.slice(),
    wishes: {
      checksum: checksumPlace(frame, checksum),
      segmentSize: largeSend === undefined ? undefined : largeSend & LARGE_SEND_SIZE,
    },
    needsIpChecksum: (checksum & ChecksumBit.IPV4) !== 0 && (checksum & ChecksumBit.IP_HEADER) !== 0,
    tag: vlan === undefined ? undefined : ((vlan & 7) << 13) | (((vlan >> 3) & 1) << 12) | ((vlan >> 4) & 0xfff),
  };
}

/** Bytes of a message at an offset from behind its header; undefined outside of it. */
export function part(message: Uint8Array, offset: number, length: number): Uint8Array | undefined {
  if (length === 0) return new Uint8Array(0);
  const start = RNDIS_HEADER + offset;
  return start + length > message.length ? undefined : message.subarray(start, start + length);
}

/** Values by the numbers of their kinds. */
function readInfo(info: Uint8Array): ReadonlyMap<number, number> | undefined {
  const values = new Map<number, number>();
  const view = viewOf(info);
  for (let at = 0; at < info.length; ) {
    if (info.length - at < PACKET_INFO_HEADER) return undefined;
    const [size, type, offset] = [0, 4, 8].map((place) => view.getUint32(at + place, true));
    if (size === undefined || type === undefined || offset === undefined) return undefined;
    if (size < PACKET_INFO_HEADER || size > info.length - at) return undefined;
    const isOurs = type < INTERNAL && offset >= PACKET_INFO_HEADER && offset + 4 <= size;
    if (isOurs) values.set(type, view.getUint32(at + offset, true));
    at += size;
  }
  return values;
}

function checksumPlace(frame: Uint8Array, info: number): TransmitWishes['checksum'] {
  const offset = info & ChecksumBit.TCP ? CHECKSUM_IN_TCP : info & ChecksumBit.UDP ? CHECKSUM_IN_UDP : undefined;
  if (offset === undefined) return undefined;
  const told = (info >>> HEADER_OFFSET_SHIFT) & HEADER_OFFSET_MASK;
  return { start: told || IPV4_PLACE + ((frame[IPV4_PLACE] ?? 0) & 15) * 4, offset };
}

/** The message that brings a frame to the guest. `tag`: of the virtual network that it came from, told beside it. */
export function buildPacket(frame: Uint8Array, tag?: number): Uint8Array {
  const infoSize = tag === undefined ? 0 : PACKET_INFO_HEADER + 4;
  const bytes = new Uint8Array(RNDIS_PACKET_HEADER + infoSize + frame.length);
  const view = new DataView(bytes.buffer);
  const set = (place: number, value: number) => view.setUint32(place, value, true);
  set(0, RndisMessage.PACKET);
  set(4, bytes.length);
  set(Place.DATA_OFFSET, RNDIS_PACKET_HEADER - RNDIS_HEADER + infoSize);
  set(Place.DATA_LENGTH, frame.length);
  if (tag !== undefined) {
    set(Place.INFO_OFFSET, RNDIS_PACKET_HEADER - RNDIS_HEADER);
    set(Place.INFO_LENGTH, infoSize);
    const fields = [
      infoSize,
      PacketInfo.IEEE_8021Q,
      PACKET_INFO_HEADER,
      (tag >> 13) | (((tag >> 12) & 1) << 3) | ((tag & 0xfff) << 4),
    ];
    fields.forEach((value, index) => {
      set(RNDIS_PACKET_HEADER + 4 * index, value);
    });
  }
  bytes.set(frame, RNDIS_PACKET_HEADER + infoSize);
  return bytes;
}

const MACS = 12;
const TAG_SIZE = 4;

/** A frame with the tag of a virtual network behind its addresses. */
export function withTag(frame: Uint8Array, tag: number): Uint8Array {
  const bytes = Uint8Array.of(EtherType.VLAN >> 8, EtherType.VLAN & 255, tag >> 8, tag & 255);
  return joined(frame.subarray(0, MACS), bytes, frame.subarray(MACS));
}

/** A frame without its tag, and the tag, where it has one. */
export function withoutTag(frame: Uint8Array): { readonly frame: Uint8Array; readonly tag: number | undefined } {
  const view = viewOf(frame);
  if (frame.length < ETHERNET_HEADER + TAG_SIZE || view.getUint16(MACS) !== EtherType.VLAN) return { frame, tag: undefined };
  return { frame: joined(frame.subarray(0, MACS), frame.subarray(MACS + TAG_SIZE)), tag: view.getUint16(MACS + 2) };
}
