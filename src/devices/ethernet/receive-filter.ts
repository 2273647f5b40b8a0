/** Which frames a driver wants (as virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3, lets it choose), as plain data. An Ethernet address is a number of 48 bits. */
export interface ReceiveFilter {
  readonly promiscuous: boolean;
  readonly allMulticast: boolean;
  readonly allUnicast: boolean;
  readonly noMulticast: boolean;
  readonly noUnicast: boolean;
  readonly noBroadcast: boolean;
  /** Stations whose frames are wanted besides those for the card's own address; undefined: too many were named, so all are. */
  readonly unicast: readonly number[] | undefined;
  readonly multicast: readonly number[] | undefined;
  /** Virtual networks; undefined for a driver that doesn't choose. */
  readonly vlans: readonly number[] | undefined;
}

/** As a device is before its driver says anything, so that one that can't choose gets all. */
export const OPEN_FILTER: ReceiveFilter = {
  promiscuous: true,
  allMulticast: false,
  allUnicast: false,
  noMulticast: false,
  noUnicast: false,
  noBroadcast: false,
  unicast: [],
  multicast: [],
  vlans: undefined,
};

const BROADCAST = 0xffff_ffff_ffff;
const GROUP_BIT = 0x0100_0000_0000;
const VLAN_TAG = 0x8100;
const VLAN_NUMBER = 0xfff;

/** Whether a frame is for the driver. `own`: the card's address. */
export function accepts(filter: ReceiveFilter, own: number, frame: Uint8Array): boolean {
  if (frame.length < 14) return false;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (filter.promiscuous) return true;
  if (filter.vlans && view.getUint16(12) === VLAN_TAG && frame.length >= 16)
    if (!filter.vlans.includes(view.getUint16(14) & VLAN_NUMBER)) return false;
  const destination = view.getUint16(0) * 0x1_0000_0000 + view.getUint32(2);
  if (destination === BROADCAST) return !filter.noBroadcast;
  if (Math.floor(destination / GROUP_BIT) % 2 === 1)
    return !filter.noMulticast && (filter.allMulticast || isNamed(filter.multicast, destination));
  return !filter.noUnicast && (filter.allUnicast || destination === own || isNamed(filter.unicast, destination));
}

function isNamed(names: readonly number[] | undefined, address: number): boolean {
  return names === undefined || names.includes(address);
}
