import { readMac, writeMac } from './addresses.ts';
import { viewOf } from './bytes.ts';

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

/** Kinds of messages (RFC 2132, 9.6). */
export const DhcpType = { DISCOVER: 1, OFFER: 2, REQUEST: 3, DECLINE: 4, ACK: 5, NAK: 6, RELEASE: 7, INFORM: 8 } as const;

/** Options (RFC 2132). */
export const DhcpOption = {
  SUBNET_MASK: 1,
  ROUTER: 3,
  DNS: 6,
  HOST_NAME: 12,
  MTU: 26,
  REQUESTED_ADDRESS: 50,
  LEASE_TIME: 51,
  MESSAGE_TYPE: 53,
  SERVER: 54,
} as const;

const Boot = { REQUEST: 1, REPLY: 2 } as const;
const ETHERNET = 1;
const MAC_LENGTH = 6;
const PAD = 0;
const END = 255;
const MAGIC_COOKIE = 0x6382_5363;
const OPTIONS = 240;
/** What a message has at least (RFC 951): there are clients that take no shorter one. */
const SHORTEST = 300;
const BROADCAST_FLAG = 0x8000;

/** A DHCP message of a client (RFC 2131). */
export interface DhcpRequest {
  readonly type: number;
  readonly transaction: number;
  readonly mac: number;
  /** The client can't take a reply to an address that it doesn't have yet. */
  readonly wantsBroadcast: boolean;
  /** Its address as it stands in the header: 0 where it has none. */
  readonly clientIp: number;
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** Undefined for bytes that are no message of a client on Ethernet. */
export function parseDhcp(bytes: Uint8Array): DhcpRequest | undefined {
  if (bytes.length < OPTIONS) return undefined;
  const view = viewOf(bytes);
  const isRequest = view.getUint8(0) === Boot.REQUEST && view.getUint8(1) === ETHERNET && view.getUint8(2) === MAC_LENGTH;
  if (!isRequest || view.getUint32(236) !== MAGIC_COOKIE) return undefined;
  const options = optionsOf(bytes.subarray(OPTIONS));
  const type = options.get(DhcpOption.MESSAGE_TYPE)?.[0];
  if (type === undefined) return undefined;
  return {
    type,
    transaction: view.getUint32(4),
    mac: readMac(view, 28),
    wantsBroadcast: (view.getUint16(10) & BROADCAST_FLAG) !== 0,
    clientIp: view.getUint32(12),
    options,
  };
}

/** The first of each kind, as far as they make sense. */
function optionsOf(bytes: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length; ) {
    const kind = bytes[at] ?? END;
    if (kind === END) break;
    if (kind === PAD) {
      at++;
      continue;
    }
    const end = at + 2 + (bytes[at + 1] ?? 0);
    if (at + 2 > bytes.length || end > bytes.length) break;
    if (!options.has(kind)) options.set(kind, bytes.slice(at + 2, end));
    at = end;
  }
  return options;
}

/** An option whose value is a number of 32 bits, such as an address. */
export function numberOption(options: DhcpRequest['options'], kind: number): number | undefined {
  const value = options.get(kind);
  return value?.length === 4 ? viewOf(value).getUint32(0) : undefined;
}

/** What a server answers. */
export interface DhcpReply {
  readonly type: number;
  readonly to: DhcpRequest;
  /** The address that the client gets: 0 for none. */
  readonly ip: number;
  readonly serverIp: number;
  readonly options: readonly (readonly [kind: number, value: Uint8Array])[];
}

export function buildDhcpReply({ type, to, ip, serverIp, options }: DhcpReply): Uint8Array {
  const all: DhcpReply['options'] = [
    [DhcpOption.MESSAGE_TYPE, Uint8Array.of(type)],
    [DhcpOption.SERVER, word(serverIp)],
    ...options,
  ];
  const length = all.reduce((sum, [, value]) => sum + 2 + value.length, OPTIONS + 1);
  const bytes = new Uint8Array(Math.max(SHORTEST, length));
  const view = viewOf(bytes);
  view.setUint8(0, Boot.REPLY);
  view.setUint8(1, ETHERNET);
  view.setUint8(2, MAC_LENGTH);
  view.setUint32(4, to.transaction);
  view.setUint16(10, to.wantsBroadcast ? BROADCAST_FLAG : 0);
  view.setUint32(12, type === DhcpType.ACK ? to.clientIp : 0);
  view.setUint32(16, ip);
  view.setUint32(20, serverIp);
  writeMac(view, 28, to.mac);
  view.setUint32(236, MAGIC_COOKIE);
  let at = OPTIONS;
  for (const [kind, value] of all) {
    bytes.set([kind, value.length], at);
    bytes.set(value, at + 2);
    at += 2 + value.length;
  }
  bytes[at] = END;
  return bytes;
}

/** The value of an option that is a number of 32 bits. */
export function word(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
