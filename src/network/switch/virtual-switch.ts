import type { InspectNode } from '../../devices/inspect.ts';
import type { Gateway } from '../gateway.ts';
import { formatMac, isGroupMac } from '../packets/addresses.ts';
import { parseEthernet } from '../packets/ethernet.ts';

/** A port of a switch as the switch sees it: the partition that is plugged in there. */
export interface SwitchClient {
  readonly name: string;
  /** Time of the host, as far as the partition has come in it. */
  hostTime(): bigint;
  /** A frame arrives there at a time of the host, which is never one that the partition has come past. */
  arrive(frame: Uint8Array, hostTime: bigint): void;
  /** Goes on with the user network of another one from a time of the host on, as of a frame's; false where it can't. */
  adopt?(gateway: Gateway, hostTime: bigint): boolean;
}

/** Where a station was heard last. */
interface Learned {
  readonly client: SwitchClient;
  readonly at: bigint;
}

/** How long a station is remembered that isn't heard any more: 5 minutes (IEEE 802.1Q, 8.8.3). */
const AGEING = 300_000_000_000n;
const MOST_STATIONS = 1024;

/**
 * A learning switch between the partitions of a host (IEEE 802.1Q, 8). Each frame takes the same time, which is that of a slot of the
 * host: partitions are never further apart, so it arrives at a time that is still to come for each of them. So when it arrives doesn't
 * depend on how the host gives its turns, and the same run gives the same frames at the same instructions.
 */
export class VirtualSwitch {
  private readonly clients: SwitchClient[] = [];
  private readonly stations = new Map<number, Learned>();

  /** `latency`: ticks from one port to another. */
  constructor(private readonly latency: bigint) {}

  /** Plugs a partition in; gives what its frames are sent with. */
  plug(client: SwitchClient): (frame: Uint8Array) => void {
    this.clients.push(client);
    return (frame) => this.send(client, frame);
  }

  unplug(client: SwitchClient): void {
    const index = this.clients.indexOf(client);
    if (index >= 0) this.clients.splice(index, 1);
    for (const [mac, { client: where }] of this.stations) if (where === client) this.stations.delete(mac);
  }

  /** Gives the user network of a partition that has ended to the first of the others that can take it; false when there is none. */
  passOn(from: SwitchClient, gateway: Gateway): boolean {
    const arrival = from.hostTime() + this.latency;
    return this.clients.some((client) => client !== from && client.adopt?.(gateway, arrival) === true);
  }

  private send(from: SwitchClient, frame: Uint8Array): void {
    const parsed = parseEthernet(frame);
    if (parsed === undefined || !this.clients.includes(from)) return;
    const now = from.hostTime();
    this.learn(parsed.source, from, now);
    const known = isGroupMac(parsed.destination) ? undefined : this.find(parsed.destination, now);
    const to = known ? [known] : this.clients;
    for (const client of to) if (client !== from) client.arrive(frame, now + this.latency);
  }

  private learn(mac: number, client: SwitchClient, at: bigint): void {
    if (isGroupMac(mac)) return;
    // A station that is heard moves behind the others.
    this.stations.delete(mac);
    this.stations.set(mac, { client, at });
    if (this.stations.size <= MOST_STATIONS) return;
    const [oldest] = this.stations.keys();
    if (oldest !== undefined) this.stations.delete(oldest);
  }

  private find(mac: number, now: bigint): SwitchClient | undefined {
    const learned = this.stations.get(mac);
    return learned && now - learned.at <= AGEING ? learned.client : undefined;
  }

  inspect(): InspectNode {
    return {
      name: 'switch',
      value: `${this.clients.length} ports`,
      children: [...this.stations].map(([mac, { client, at }]) => {
        return { name: formatMac(mac), value: client.name, detail: `heard at ${at} ns of the host's time` };
      }),
    };
  }
}
