import { readMac, writeMac } from './addresses.ts';
import { viewOf } from './bytes.ts';

export const ETHERNET_HEADER = 14;
/** What a frame has at least behind its header (IEEE 802.3, 3.2.7): shorter ones are filled up. */
const SHORTEST_PAYLOAD = 46;

export const EtherType = { IPV4: 0x0800, ARP: 0x0806, VLAN: 0x8100, IPV6: 0x86dd } as const;

/** An Ethernet frame (IEEE 802.3, 3.2). */
export interface EthernetFrame {
  readonly destination: number;
  readonly source: number;
  readonly etherType: number;
  /** Packets say themselves how long they are: there may be zeroes behind them. */
  readonly payload: Uint8Array;
}

/** Undefined for bytes that are too few for a header. */
export function parseEthernet(bytes: Uint8Array): EthernetFrame | undefined {
  if (bytes.length < ETHERNET_HEADER) return undefined;
  const view = viewOf(bytes);
  return {
    destination: readMac(view, 0),
    source: readMac(view, 6),
    etherType: view.getUint16(12),
    payload: bytes.subarray(ETHERNET_HEADER),
  };
}

export function buildEthernet({ destination, source, etherType, payload }: EthernetFrame): Uint8Array {
  const bytes = new Uint8Array(ETHERNET_HEADER + Math.max(SHORTEST_PAYLOAD, payload.length));
  bytes.set(payload, ETHERNET_HEADER);
  const view = viewOf(bytes);
  writeMac(view, 0, destination);
  writeMac(view, 6, source);
  view.setUint16(12, etherType);
  return bytes;
}
