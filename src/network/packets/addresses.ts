/** An Ethernet address is a number of 48 bits, an IPv4 address one of 32, both with the byte first that goes first on the wire. */

export const BROADCAST_MAC = 0xffff_ffff_ffff;
/** Set in the first byte of an address of several stations (IEEE 802, 8.2). */
const GROUP_BIT = 0x0100_0000_0000;
export const BROADCAST_IP = 0xffff_ffff;

/** Whether an Ethernet address is that of several stations: a group, or all. */
export function isGroupMac(mac: number): boolean {
  return Math.floor(mac / GROUP_BIT) % 2 === 1;
}

export function readMac(view: DataView, at: number): number {
  return view.getUint16(at) * 0x1_0000_0000 + view.getUint32(at + 2);
}

export function writeMac(view: DataView, at: number, mac: number): void {
  view.setUint16(at, Math.floor(mac / 0x1_0000_0000));
  view.setUint32(at + 2, mac % 0x1_0000_0000);
}

/** `52:54:00:12:34:56`. */
export function formatMac(mac: number): string {
  return (mac.toString(16).padStart(12, '0').match(/../g) ?? []).join(':');
}

/** Undefined for what is no Ethernet address of one station. */
export function parseMac(text: string): number | undefined {
  if (!/^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(text)) return undefined;
  const mac = Number(`0x${text.replaceAll(':', '')}`);
  return mac === 0 || isGroupMac(mac) ? undefined : mac;
}

/** `10.0.2.15`. */
export function formatIp(ip: number): string {
  return [ip >>> 24, (ip >>> 16) & 255, (ip >>> 8) & 255, ip & 255].join('.');
}

/** Undefined for what is no IPv4 address in four decimal numbers. */
export function parseIp(text: string): number | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  const parts = text.split('.').map(Number);
  return parts.some((part) => part > 255) ? undefined : parts.reduce((ip, part) => ((ip << 8) | part) >>> 0, 0);
}
