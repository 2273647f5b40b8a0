import { foldChecksum, pseudoHeaderSum, wordSum } from '../checksum.ts';

const ETHERNET_HEADER = 14;
const ETHERTYPE_IPV4 = 0x0800;
const IPV4_HEADER = 20;
const TCP_HEADER = 20;
const TCP = 6;
/** Flags of TCP that only the last segment has, and only the first one. */
const FIN_AND_PSH = 0x09;
const CWR = 0x80;
/** What a frame is cut into at most: 64 KiB in pieces of 512 bytes. */
const MOST_SEGMENTS = 128;
/** An Ethernet header and an IP packet. */
const LONGEST_FRAME = ETHERNET_HEADER + 0xffff;

/** What a driver asks for: a checksum of the bytes from `start` on, that goes to `offset` behind it. */
export interface ChecksumWish {
  readonly start: number;
  readonly offset: number;
}

/** What a driver left to its card. The driver has put the sum over the pseudo header where the checksum is to be. */
export interface TransmitWishes {
  readonly checksum: ChecksumWish | undefined;
  /** Bytes of each of the TCP segments that a long one over IPv4 is to be cut into; undefined for a frame that goes as it is. */
  readonly segmentSize: number | undefined;
}

/** Does what the driver left to the card, and gives the frames that go out; undefined for what makes no sense. */
export function finishFrame({ checksum, segmentSize }: TransmitWishes, frame: Uint8Array): Uint8Array[] | undefined {
  if (frame.length > LONGEST_FRAME) return undefined;
  if (segmentSize !== undefined) return cutTcp(frame, segmentSize);
  if (checksum === undefined) return [frame];
  const { start, offset } = checksum;
  if (start + offset + 2 > frame.length) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  // Zero would mean that there is no checksum.
  view.setUint16(start + offset, foldChecksum(wordSum(frame.subarray(start))) || 0xffff);
  return [frame];
}

/** Makes the checksum of a frame's IPv4 header; false for a frame without one. */
export function fillIpv4Checksum(frame: Uint8Array): boolean {
  const ip = ETHERNET_HEADER;
  if (frame.length < ip + IPV4_HEADER) return false;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const end = ip + (view.getUint8(ip) & 15) * 4;
  if (view.getUint16(12) !== ETHERTYPE_IPV4 || end < ip + IPV4_HEADER || end > frame.length) return false;
  view.setUint16(ip + 10, 0);
  view.setUint16(ip + 10, foldChecksum(wordSum(frame.subarray(ip, end))));
  return true;
}

/** Cuts a frame with a long TCP segment over IPv4 into frames with `size` bytes each. */
function cutTcp(frame: Uint8Array, size: number): Uint8Array[] | undefined {
  const places = tcpPlaces(frame);
  if (places === undefined || size === 0) return undefined;
  const { tcp, data } = places;
  const payload = frame.subarray(data, places.end);
  const count = Math.max(1, Math.ceil(payload.length / size));
  if (count > MOST_SEGMENTS) return undefined;
  return Array.from({ length: count }, (_, index) => {
    const piece = payload.subarray(index * size, (index + 1) * size);
    const bytes = new Uint8Array(data + piece.length);
    bytes.set(frame.subarray(0, data));
    bytes.set(piece, data);
    const view = new DataView(bytes.buffer);
    const ip = ETHERNET_HEADER;
    view.setUint16(ip + 2, bytes.length - ip);
    view.setUint16(ip + 4, view.getUint16(ip + 4) + index);
    view.setUint16(ip + 10, 0);
    view.setUint16(ip + 10, foldChecksum(wordSum(bytes.subarray(ip, tcp))));
    view.setUint32(tcp + 4, view.getUint32(tcp + 4) + index * size);
    const others = (index < count - 1 ? FIN_AND_PSH : 0) | (index > 0 ? CWR : 0);
    view.setUint8(tcp + 13, view.getUint8(tcp + 13) & ~others);
    view.setUint16(tcp + 16, 0);
    const pseudo = pseudoHeaderSum(view.getUint32(ip + 12), view.getUint32(ip + 16), TCP, bytes.length - tcp);
    view.setUint16(tcp + 16, foldChecksum(wordSum(bytes.subarray(tcp), pseudo)));
    return bytes;
  });
}

/** Where TCP's header begins, where its data begins and ends; undefined for a frame without. */
function tcpPlaces(frame: Uint8Array): { readonly tcp: number; readonly data: number; readonly end: number } | undefined {
  const ip = ETHERNET_HEADER;
  if (frame.length < ip + IPV4_HEADER) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const tcp = ip + (view.getUint8(ip) & 15) * 4;
  if (view.getUint16(12) !== ETHERTYPE_IPV4 || view.getUint8(ip) >> 4 !== 4 || tcp < ip + IPV4_HEADER) return undefined;
  if (view.getUint8(ip + 9) !== TCP || frame.length < tcp + TCP_HEADER) return undefined;
  const data = tcp + (view.getUint8(tcp + 12) >> 4) * 4;
  return data < tcp + TCP_HEADER || data > frame.length ? undefined : { tcp, data, end: frame.length };
}
