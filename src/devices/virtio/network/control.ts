import type { ReceiveFilter } from '../../ethernet/receive-filter.ts';
import type { DescriptorChain } from '../queue/chain.ts';
import { QueueError } from '../queue/queue-error.ts';
import { ControlClass, MAC_SIZE, MacCommand, NetworkFeature, RxCommand, VlanCommand } from './registers.ts';

/** What the control queue changes. */
export interface ControlledState {
  readonly filter: ReceiveFilter;
  readonly mac: number;
}

/** Addresses that are kept of each kind; with more, all are wanted. */
const MOST_ADDRESSES = 64;
const VLANS = 4096;
const COUNT_SIZE = 4;

/** Bytes of a command that are read; what is longer can't be followed. */
const LONGEST_COMMAND = 0x4000;
const HEADER_SIZE = 2;

/** A command: its class and number, and what belongs to it. */
export interface ControlCommand {
  readonly kind: number;
  readonly command: number;
  readonly data: Uint8Array;
}

/** Reads a command. Throws QueueError for a chain without room for one, or for its outcome. */
export function readCommand({ readable, writable }: DescriptorChain): ControlCommand {
  if (readable.length < HEADER_SIZE)
    throw new QueueError(`a command has ${readable.length} bytes, but its header has ${HEADER_SIZE}`);
  if (writable.length === 0) throw new QueueError('a command has no room for its outcome');
  const [kind = 0, command = 0] = readable.read(0, HEADER_SIZE);
  return { kind, command, data: readable.read(HEADER_SIZE, LONGEST_COMMAND) };
}

/** The state after a command of the driver; undefined for one that can't be followed. `has`: which features were agreed on. */
export function control(
  state: ControlledState,
  { kind, command, data }: ControlCommand,
  has: (feature: number) => boolean,
): ControlledState | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const change = (filter: Partial<ReceiveFilter>) => ({ ...state, filter: { ...state.filter, ...filter } });
  switch (kind) {
    case ControlClass.RX: {
      const name = RX_SETTINGS[command];
      const feature = command <= RxCommand.ALL_MULTICAST ? NetworkFeature.CTRL_RX : NetworkFeature.CTRL_RX_EXTRA;
      return name && has(feature) && data.length === 1 ? change({ [name]: data[0] !== 0 }) : undefined;
    }
    case ControlClass.MAC: {
      if (command === MacCommand.ADDRESS_SET)
        return has(NetworkFeature.CTRL_MAC_ADDR) && data.length === MAC_SIZE ? { ...state, mac: macAt(view, 0) } : undefined;
      if (command !== MacCommand.TABLE_SET || !has(NetworkFeature.CTRL_RX)) return undefined;
      const unicast = readTable(view, 0);
      const multicast = unicast && readTable(view, unicast.end);
      if (multicast?.end !== data.length) return undefined;
      return change({ unicast: unicast?.addresses, multicast: multicast.addresses });
    }
    case ControlClass.VLAN: {
      if (!has(NetworkFeature.CTRL_VLAN) || data.length !== 2) return undefined;
      const vlan = view.getUint16(0, true);
      const others = (state.filter.vlans ?? []).filter((known) => known !== vlan);
      if (vlan >= VLANS || (command !== VlanCommand.ADD && command !== VlanCommand.DELETE)) return undefined;
      return change({ vlans: command === VlanCommand.ADD ? [...others, vlan] : others });
    }
    default:
      return undefined;
  }
}

const RX_SETTINGS: Readonly<Record<number, keyof ReceiveFilter>> = {
  [RxCommand.PROMISCUOUS]: 'promiscuous',
  [RxCommand.ALL_MULTICAST]: 'allMulticast',
  [RxCommand.ALL_UNICAST]: 'allUnicast',
  [RxCommand.NO_MULTICAST]: 'noMulticast',
  [RxCommand.NO_UNICAST]: 'noUnicast',
  [RxCommand.NO_BROADCAST]: 'noBroadcast',
};

export function macAt(view: DataView, at: number): number {
  return view.getUint16(at) * 0x1_0000_0000 + view.getUint32(at + 2);
}

/** A table of addresses with their number before it; `addresses` is undefined where they are too many to keep. */
function readTable(view: DataView, at: number): { readonly end: number; readonly addresses: number[] | undefined } | undefined {
  if (at + COUNT_SIZE > view.byteLength) return undefined;
  const count = view.getUint32(at, true);
  const end = at + COUNT_SIZE + count * MAC_SIZE;
  if (end > view.byteLength) return undefined;
  if (count > MOST_ADDRESSES) return { end, addresses: undefined };
  return { end, addresses: Array.from({ length: count }, (_, index) => macAt(view, at + COUNT_SIZE + index * MAC_SIZE)) };
}
