/** Addresses of the user network, the same as those of QEMU's user-mode network. */
export const NETWORK = 0x0a00_0200;
export const NETMASK = 0xffff_ff00;
export const GATEWAY = 0x0a00_0202;
export const NAME_SERVER = 0x0a00_0203;
/** What the first guest gets; later ones get the next. */
export const FIRST_GUEST = 0x0a00_020f;
export const LAST_GUEST = 0x0a00_02fe;
export const SUBNET_BROADCAST = 0x0a00_02ff;
/** Of gateway and name server. */
export const GATEWAY_MAC = 0x5255_0a00_0202;
export const MTU = 1500;

export function isInSubnet(ip: number): boolean {
  return (ip & NETMASK) >>> 0 === NETWORK;
}
