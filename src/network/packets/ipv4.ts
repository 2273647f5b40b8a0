import { foldChecksum, wordSum } from '../../devices/checksum.ts';
import { viewOf, withHeader } from './bytes.ts';

export const Protocol = { ICMP: 1, TCP: 6, UDP: 17 } as const;

const HEADER = 20;
const VERSION = 4;
const TIME_TO_LIVE = 64;
const DONT_FRAGMENT = 0x4000;
/** "More fragments", and the place of a fragment. */
const FRAGMENT_BITS = 0x3fff;

/** An IPv4 packet (RFC 791). */
export interface Ipv4Packet {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

/** Undefined for bytes that are no packet with a right header, and for fragments, which nobody puts together here. */
export function parseIpv4(bytes: Uint8Array): Ipv4Packet | undefined {
  if (bytes.length < HEADER) return undefined;
  const view = viewOf(bytes);
  const first = view.getUint8(0);
  const header = (first & 15) * 4;
  const length = view.getUint16(2);
  if (first >> 4 !== VERSION || header < HEADER || length < header || length > bytes.length) return undefined;
  if ((view.getUint16(6) & FRAGMENT_BITS) !== 0) return undefined;
  if (foldChecksum(wordSum(bytes.subarray(0, header))) !== 0) return undefined;
  return {
    source: view.getUint32(12),
    destination: view.getUint32(16),
    protocol: view.getUint8(9),
    payload: bytes.subarray(header, length),
  };
}

/** A packet that is not to be fragmented, so it needs no identification (RFC 6864, 4.1). */
export function buildIpv4({ source, destination, protocol, payload }: Ipv4Packet): Uint8Array {
  const { bytes, view } = withHeader(HEADER, payload);
  view.setUint8(0, (VERSION << 4) | (HEADER / 4));
  view.setUint16(2, bytes.length);
  view.setUint16(6, DONT_FRAGMENT);
  view.setUint8(8, TIME_TO_LIVE);
  view.setUint8(9, protocol);
  view.setUint32(12, source);
  view.setUint32(16, destination);
  view.setUint16(10, foldChecksum(wordSum(bytes.subarray(0, HEADER))));
  return bytes;
}
