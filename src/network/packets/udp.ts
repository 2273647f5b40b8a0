import { foldChecksum, pseudoHeaderSum, wordSum } from '../../devices/checksum.ts';
import { viewOf, withHeader } from './bytes.ts';
import { Protocol } from './ipv4.ts';

const HEADER = 8;

/** Who sends a packet, and to whom. */
export interface IpPair {
  readonly source: number;
  readonly destination: number;
}

/** A UDP datagram (RFC 768). */
export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

/** Undefined for bytes that are none, or whose checksum is wrong; none at all is right. */
export function parseUdp(bytes: Uint8Array, { source, destination }: IpPair): UdpDatagram | undefined {
  if (bytes.length < HEADER) return undefined;
  const view = viewOf(bytes);
  const length = view.getUint16(4);
  if (length < HEADER || length > bytes.length) return undefined;
  const datagram = bytes.subarray(0, length);
  const pseudo = pseudoHeaderSum(source, destination, Protocol.UDP, length);
  if (view.getUint16(6) !== 0 && foldChecksum(wordSum(datagram, pseudo)) !== 0) return undefined;
  return { sourcePort: view.getUint16(0), destinationPort: view.getUint16(2), payload: datagram.subarray(HEADER) };
}

export function buildUdp({ sourcePort, destinationPort, payload }: UdpDatagram, { source, destination }: IpPair): Uint8Array {
  const { bytes, view } = withHeader(HEADER, payload);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint16(4, bytes.length);
  const checksum = foldChecksum(wordSum(bytes, pseudoHeaderSum(source, destination, Protocol.UDP, bytes.length)));
  // Zero means that there is none.
  view.setUint16(6, checksum === 0 ? 0xffff : checksum);
  return bytes;
}
