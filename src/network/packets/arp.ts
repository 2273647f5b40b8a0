import { readMac, writeMac } from './addresses.ts';
import { viewOf } from './bytes.ts';

export const ArpOperation = { REQUEST: 1, REPLY: 2 } as const;

const LENGTH = 28;
const ETHERNET = 1;
const IPV4 = 0x0800;
/** Lengths of the addresses of both, as the packet has them: 6 and 4 bytes. */
const ADDRESS_LENGTHS = 0x0604;

/** A packet of the Address Resolution Protocol for IPv4 over Ethernet (RFC 826). */
export interface ArpPacket {
  readonly operation: number;
  readonly senderMac: number;
  readonly senderIp: number;
  readonly targetMac: number;
  readonly targetIp: number;
}

/** Undefined for bytes that are none, or are about other kinds of addresses. */
export function parseArp(bytes: Uint8Array): ArpPacket | undefined {
  if (bytes.length < LENGTH) return undefined;
  const view = viewOf(bytes);
  if (view.getUint16(0) !== ETHERNET || view.getUint16(2) !== IPV4 || view.getUint16(4) !== ADDRESS_LENGTHS) return undefined;
  return {
    operation: view.getUint16(6),
    senderMac: readMac(view, 8),
    senderIp: view.getUint32(14),
    targetMac: readMac(view, 18),
    targetIp: view.getUint32(24),
  };
}

export function buildArp({ operation, senderMac, senderIp, targetMac, targetIp }: ArpPacket): Uint8Array {
  const bytes = new Uint8Array(LENGTH);
  const view = viewOf(bytes);
  view.setUint16(0, ETHERNET);
  view.setUint16(2, IPV4);
  view.setUint16(4, ADDRESS_LENGTHS);
  view.setUint16(6, operation);
  writeMac(view, 8, senderMac);
  view.setUint32(14, senderIp);
  writeMac(view, 18, targetMac);
  view.setUint32(24, targetIp);
  return bytes;
}
