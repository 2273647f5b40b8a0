import type { OutsideEvent } from '../outside.ts';
import { formatIp } from '../packets/addresses.ts';
import { type Ipv4Packet, Protocol } from '../packets/ipv4.ts';
import { buildUdp, type UdpDatagram } from '../packets/udp.ts';
import type { Forward, GuestForward } from './options.ts';
import { GATEWAY, MTU } from './subnet.ts';
import type { FlowsWorld } from './tcp-flows.ts';

/** Datagrams between a port of a guest and one of the gateway, which stands for a service or a client outside. */
interface UdpFlow {
  readonly flow: number;
  readonly guestIp: number;
  readonly guestPort: number;
  readonly ownPort: number;
  /** Guest time of its last datagram. */
  readonly at: bigint;
}

export interface UdpFlowsState {
  readonly nextPort: number;
  /** The one that was used longest ago comes first. */
  readonly flows: readonly UdpFlow[];
}

/** The ones that were used longest ago make room for others. */
const MOST_FLOWS = 64;
/** How long an answer may take before nobody waits for it: a minute. */
const PATIENCE = 60_000_000_000n;
const FIRST_PORT = 49_152;
const LAST_PORT = 65_535;
/** What fits into a packet. */
const LONGEST_PAYLOAD = MTU - 20 - 8;

/** UDP of the user network, to services and from clients outside. */
export class UdpFlows {
  private flows: UdpFlow[] = [];
  private nextPort = FIRST_PORT;

  constructor(
    private readonly world: FlowsWorld,
    private readonly guestForwards: readonly GuestForward[],
  ) {}

  /** Passes on a datagram of a guest to the gateway; false where nobody is at its port. */
  receive({ source }: Ipv4Packet, { sourcePort, destinationPort, payload }: UdpDatagram): boolean {
    const { outside } = this.world;
    const known = this.flows.find(
      ({ guestIp, guestPort, ownPort }) => guestIp === source && guestPort === sourcePort && ownPort === destinationPort,
    );
    if (known) {
      this.use(known);
      outside.send(known.flow, payload);
      return true;
    }
    const forward = this.guestForwards.find(({ kind, port }) => kind === 'udp' && port === destinationPort);
    if (forward === undefined) return false;
    const flow = this.world.nextFlow();
    this.use({ flow, guestIp: source, guestPort: sourcePort, ownPort: destinationPort });
    outside.open(flow, 'udp', forward.hostPort);
    outside.send(flow, payload);
    return true;
  }

  /** A client sent its first datagram to the port of a forward. */
  accept(flow: number, { guestIp, guestPort }: Forward): void {
    if (this.flows.some((known) => known.flow === flow)) return;
    this.use({ flow, guestIp, guestPort, ownPort: this.nextPort });
    this.nextPort = this.nextPort === LAST_PORT ? FIRST_PORT : this.nextPort + 1;
  }

  /** Puts a flow behind the others, as the one that was used last. */
  private use(flow: Omit<UdpFlow, 'at'>): void {
    this.flows = [...this.flows.filter((other) => other.flow !== flow.flow), { ...flow, at: this.world.now() }];
    if (this.flows.length <= MOST_FLOWS) return;
    const oldest = this.flows.shift();
    if (oldest) this.world.outside.close(oldest.flow);
  }

  /** False for an event of a flow that isn't one of UDP. */
  happened(event: OutsideEvent): boolean {
    const found = this.flows.find(({ flow }) => flow === event.flow);
    if (found === undefined) return false;
    if (event.kind === 'closed') this.flows = this.flows.filter((flow) => flow !== found);
    if (event.kind !== 'data' || event.bytes.length > LONGEST_PAYLOAD) return true;
    this.use(found);
    const pair = { source: GATEWAY, destination: found.guestIp };
    const datagram = { sourcePort: found.ownPort, destinationPort: found.guestPort, payload: event.bytes };
    this.world.emit({ ...pair, protocol: Protocol.UDP, payload: buildUdp(datagram, pair) });
    return true;
  }

  /** Somebody may still answer. */
  get isActive(): boolean {
    const now = this.world.now();
    return this.flows.some(({ at }) => now - at <= PATIENCE);
  }

  reset(): void {
    for (const { flow } of this.flows) this.world.outside.close(flow);
    this.flows = [];
    this.nextPort = FIRST_PORT;
  }
  save(): UdpFlowsState {
    return { nextPort: this.nextPort, flows: [...this.flows] };
  }
  restore(state: UdpFlowsState): void {
    this.reset();
    this.nextPort = state.nextPort;
    this.flows = [...state.flows];
  }
  /** `10.0.2.15:40000 – 10.0.2.2:53` of each. */
  describe(): readonly string[] {
    return this.flows.map(
      ({ guestIp, guestPort, ownPort }) => `${formatIp(guestIp)}:${guestPort} – ${formatIp(GATEWAY)}:${ownPort}`,
    );
  }
}
