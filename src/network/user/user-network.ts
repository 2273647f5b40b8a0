import type { Clock } from '../../devices/device.ts';
import type { InspectNode } from '../../devices/inspect.ts';
import type { Outside, OutsideEvent } from '../outside.ts';
import { BROADCAST_IP, BROADCAST_MAC, formatIp, formatMac, isGroupMac } from '../packets/addresses.ts';
import { ArpOperation, type ArpPacket, buildArp, parseArp } from '../packets/arp.ts';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, parseDhcp } from '../packets/dhcp.ts';
import { DNS_PORT } from '../packets/dns.ts';
import { buildEthernet, EtherType, parseEthernet } from '../packets/ethernet.ts';
import { buildIcmp, buildUnreachable, IcmpType, parseIcmp, Unreachable } from '../packets/icmp.ts';
import { buildIpv4, type Ipv4Packet, Protocol, parseIpv4 } from '../packets/ipv4.ts';
import { buildUdp, parseUdp, type UdpDatagram } from '../packets/udp.ts';
import { DhcpServer, type Lease } from './dhcp-server.ts';
import { NameServer } from './name-server.ts';
import type { UserNetworkOptions } from './options.ts';
import { type OwnConversation, OwnService, OwnServices } from './own-services.ts';
import { GATEWAY, GATEWAY_MAC, isInSubnet, NAME_SERVER, SUBNET_BROADCAST } from './subnet.ts';
import { type FlowsWorld, TcpFlows, type TcpFlowsState } from './tcp-flows.ts';
import { UdpFlows, type UdpFlowsState } from './udp-flows.ts';

export interface UserNetworkWorld {
  readonly clock: Clock;
  readonly outside: Outside;
  /** Sends a frame to the stations of the network. */
  readonly send: (frame: Uint8Array) => void;
}

export interface UserNetworkState {
  readonly leases: readonly Lease[];
  readonly neighbours: readonly (readonly [ip: number, mac: number])[];
  readonly parked: readonly (readonly [ip: number, packet: Uint8Array])[];
  readonly lastFlow: number;
  readonly refused: readonly (readonly [what: string, times: number])[];
  readonly tcp: TcpFlowsState;
  readonly udp: UdpFlowsState;
  /** Missing in states of earlier versions, which had none. */
  readonly own?: readonly OwnConversation[];
}

/** Packets that wait for the Ethernet address of their guest at most. */
const MOST_PARKED = 32;
/** Where files are served. */
const HTTP = { kind: 'tcp', port: 80, hostPort: OwnService.HTTP } as const;
/** Different refusals that are counted. */
const MOST_REFUSALS = 64;

/**
 * A network as a user's machine offers it to one guest or several, after QEMU's user-mode network: a gateway at 10.0.2.2 that answers
 * pings, and whose ports lead to services on the user's machine where the user said so; DHCP; a name server at 10.0.2.3. Nothing else
 * is there: whatever leads out of it is named in its options.
 */
export class UserNetwork {
  private readonly dhcp = new DhcpServer();
  private readonly names: NameServer;
  private readonly tcp: TcpFlows;
  private readonly udp: UdpFlows;
  private readonly own: OwnServices;
  /** Ethernet addresses of guests. */
  private neighbours = new Map<number, number>();
  private parked: (readonly [ip: number, packet: Uint8Array])[] = [];
  private refused = new Map<string, number>();
  private lastFlow = 0;
  private timer: { readonly handle: number; readonly when: bigint } | undefined;

  constructor(
    private readonly world: UserNetworkWorld,
    private readonly options: UserNetworkOptions,
  ) {
    this.names = new NameServer(options.hosts, (name) => this.dhcp.find(name));
    const files = options.files ?? new Map<string, Uint8Array>();
    this.own = new OwnServices(world.outside, files);
    const flows: FlowsWorld = {
      now: () => world.clock.now(),
      emit: (packet) => this.emit(packet),
      outside: this.own,
      nextFlow: () => {
        this.lastFlow += 2;
        return this.lastFlow;
      },
      refused: (what) => this.refuse(what),
    };
    // A port that the user leads elsewhere isn't the own service's.
    const services = [...options.guestForwards, ...(files.size > 0 ? [HTTP] : [])];
    this.tcp = new TcpFlows(flows, services);
    this.udp = new UdpFlows(flows, services);
  }

  /** Something may come from outside: from clients at any time, or in a conversation. */
  get isOpen(): boolean {
    return this.options.forwards.length > 0 || this.tcp.count > this.own.streams || this.udp.isActive;
  }

  // --- frames of guests --------------------------------------------------------------------------------------------------

  receive(bytes: Uint8Array): void {
    const frame = parseEthernet(bytes);
    if (frame === undefined || isGroupMac(frame.source)) return;
    const isForUs = frame.destination === GATEWAY_MAC || isGroupMac(frame.destination);
    if (!isForUs) return;
    if (frame.etherType === EtherType.ARP) this.receiveArp(parseArp(frame.payload));
    else if (frame.etherType === EtherType.IPV4) {
      const packet = parseIpv4(frame.payload);
      if (packet === undefined) return;
      this.learn(packet.source, frame.source);
      this.receivePacket(packet);
    }
    this.arm();
  }

  private learn(ip: number, mac: number): void {
    if (!isInSubnet(ip) || isOwn(ip) || ip === SUBNET_BROADCAST) return;
    this.neighbours.set(ip, mac);
    const ready = this.parked.filter(([wanted]) => wanted === ip);
    if (ready.length === 0) return;
    this.parked = this.parked.filter(([wanted]) => wanted !== ip);
    for (const [, packet] of ready) this.sendFrame(mac, EtherType.IPV4, packet);
  }

  private receiveArp(packet: ArpPacket | undefined): void {
    if (packet === undefined || isGroupMac(packet.senderMac)) return;
    if (packet.senderIp !== 0) this.learn(packet.senderIp, packet.senderMac);
    if (packet.operation !== ArpOperation.REQUEST || !isOwn(packet.targetIp) || packet.senderIp === packet.targetIp) return;
    const reply = {
      operation: ArpOperation.REPLY,
      senderMac: GATEWAY_MAC,
      senderIp: packet.targetIp,
      targetMac: packet.senderMac,
      targetIp: packet.senderIp,
    };
    this.sendFrame(packet.senderMac, EtherType.ARP, buildArp(reply));
  }

  private receivePacket(packet: Ipv4Packet): void {
    const { destination } = packet;
    const isBroadcast = destination === BROADCAST_IP || destination === SUBNET_BROADCAST;
    if (packet.protocol === Protocol.UDP) {
      const datagram = parseUdp(packet.payload, packet);
      if (datagram && this.receiveDatagram(packet, datagram, isBroadcast)) return;
      if (datagram && isOwn(destination)) {
        this.refuse(`udp ${formatIp(destination)}:${datagram.destinationPort}`);
        this.sendUnreachable(packet, Unreachable.PORT);
      }
    }
    // Groups are between stations of the network.
    if (isBroadcast || destination >= 0xe000_0000) return;
    if (!isOwn(destination)) {
      if (!isInSubnet(destination)) this.refuse(formatIp(destination));
      this.sendUnreachable(packet, isInSubnet(destination) ? Unreachable.HOST : Unreachable.NETWORK);
    } else if (packet.protocol === Protocol.TCP) this.tcp.receive(packet);
    else if (packet.protocol === Protocol.ICMP) this.receiveIcmp(packet);
    else if (packet.protocol !== Protocol.UDP) this.sendUnreachable(packet, Unreachable.PROTOCOL);
  }

  private receiveIcmp(packet: Ipv4Packet): void {
    const message = parseIcmp(packet.payload);
    if (message?.type !== IcmpType.ECHO_REQUEST) return;
    this.answer(packet, Protocol.ICMP, buildIcmp({ ...message, type: IcmpType.ECHO_REPLY }));
  }

  /** Whether somebody took a datagram. */
  private receiveDatagram(packet: Ipv4Packet, datagram: UdpDatagram, isBroadcast: boolean): boolean {
    const { destinationPort, sourcePort, payload } = datagram;
    const isOurs = isOwn(packet.destination);
    if (destinationPort === DHCP_SERVER_PORT && (isOurs || isBroadcast)) {
      this.receiveDhcp(payload);
      return true;
    }
    if (destinationPort === DNS_PORT && packet.destination === NAME_SERVER) {
      const answer = this.names.answer(payload);
      const pair = { source: packet.destination, destination: packet.source };
      const back = { sourcePort: DNS_PORT, destinationPort: sourcePort };
      if (answer) this.answer(packet, Protocol.UDP, buildUdp({ ...back, payload: answer }, pair));
      return true;
    }
    return packet.destination === GATEWAY && this.udp.receive(packet, datagram);
  }

  private receiveDhcp(payload: Uint8Array): void {
    const request = parseDhcp(payload);
    const answer = request && this.dhcp.answer(request);
    if (request === undefined || answer === undefined) return;
    // A client without an address takes frames at its Ethernet address, unless it says that it doesn't (RFC 2131, 4.1).
    const toAll = request.wantsBroadcast || answer.ip === 0;
    const pair = { source: GATEWAY, destination: toAll ? BROADCAST_IP : answer.ip };
    const datagram = { sourcePort: DHCP_SERVER_PORT, destinationPort: DHCP_CLIENT_PORT, payload: answer.bytes };
    const packet = buildIpv4({ ...pair, protocol: Protocol.UDP, payload: buildUdp(datagram, pair) });
    this.sendFrame(toAll ? BROADCAST_MAC : request.mac, EtherType.IPV4, packet);
  }

  /** Enters what a guest wanted and what isn't there, for its user to see why. */
  private refuse(what: string): void {
    if (this.refused.size < MOST_REFUSALS || this.refused.has(what)) this.refused.set(what, (this.refused.get(what) ?? 0) + 1);
  }

  // --- to guests ---------------------------------------------------------------------------------------------------------

  private sendFrame(destination: number, etherType: number, payload: Uint8Array): void {
    this.world.send(buildEthernet({ destination, source: GATEWAY_MAC, etherType, payload }));
  }

  private answer({ source, destination }: Ipv4Packet, protocol: number, payload: Uint8Array): void {
    this.emit({ source: destination, destination: source, protocol, payload });
  }

  private sendUnreachable(packet: Ipv4Packet, code: number): void {
    // The packet as it came, but for what its header says beyond this.
    this.emit({
      source: GATEWAY,
      destination: packet.source,
      protocol: Protocol.ICMP,
      payload: buildUnreachable(code, buildIpv4(packet)),
    });
  }

  /** Sends a packet to a guest, once its Ethernet address is known. */
  private emit(packet: Ipv4Packet): void {
    const { destination } = packet;
    if (!isInSubnet(destination) || isOwn(destination)) return;
    const bytes = buildIpv4(packet);
    const mac = this.neighbours.get(destination);
    if (mac !== undefined) {
      this.sendFrame(mac, EtherType.IPV4, bytes);
      return;
    }
    if (this.parked.length < MOST_PARKED) this.parked.push([destination, bytes]);
    const operation = ArpOperation.REQUEST;
    const request = { operation, senderMac: GATEWAY_MAC, senderIp: GATEWAY, targetMac: 0, targetIp: destination };
    this.sendFrame(BROADCAST_MAC, EtherType.ARP, buildArp(request));
  }

  // --- outside, time -----------------------------------------------------------------------------------------------------

  /** Something happened outside. */
  happened(event: OutsideEvent): void {
    this.take(event);
    this.arm();
  }

  private take(event: OutsideEvent): void {
    if (event.kind === 'accepted') {
      const forward = this.options.forwards[event.forward];
      if (forward?.kind === 'tcp') this.tcp.accept(event.flow, forward);
      else if (forward) this.udp.accept(event.flow, forward);
    } else if (!this.tcp.happened(event)) this.udp.happened(event);
  }

  /** Does what own services have to do, and sets the timer to when TCP has something to do by itself. */
  private arm(): void {
    this.own.pump((event) => this.take(event));
    const { deadline } = this.tcp;
    if (deadline === this.timer?.when) return;
    const { clock } = this.world;
    if (this.timer) clock.cancel(this.timer.handle);
    this.timer =
      deadline === undefined
        ? undefined
        : {
            when: deadline,
            handle: clock.schedule(deadline, () => {
              this.timer = undefined;
              this.tcp.expire();
              this.arm();
            }),
          };
  }

  // --- as a part of a device ---------------------------------------------------------------------------------------------

  reset(): void {
    this.dhcp.reset();
    this.tcp.reset();
    this.udp.reset();
    this.own.reset();
    this.neighbours = new Map();
    this.parked = [];
    this.refused = new Map();
    this.lastFlow = 0;
    this.arm();
  }
  save(): UserNetworkState {
    return {
      leases: this.dhcp.save(),
      neighbours: [...this.neighbours],
      parked: [...this.parked],
      lastFlow: this.lastFlow,
      refused: [...this.refused],
      tcp: this.tcp.save(),
      udp: this.udp.save(),
      own: this.own.save(),
    };
  }
  restore(state: UserNetworkState): void {
    this.dhcp.restore(state.leases);
    this.neighbours = new Map(state.neighbours);
    this.parked = [...state.parked];
    this.lastFlow = state.lastFlow;
    this.refused = new Map(state.refused);
    this.tcp.restore(state.tcp);
    this.udp.restore(state.udp);
    this.own.restore(state.own ?? []);
    this.arm();
  }

  inspect(): InspectNode {
    const { forwards, guestForwards } = this.options;
    const leases = this.dhcp.save();
    const group = (name: string, children: readonly InspectNode[]): InspectNode => ({
      name,
      value: String(children.length),
      children,
    });
    return {
      name: 'user network',
      value: '10.0.2.0/24',
      detail: 'gateway 10.0.2.2, name server 10.0.2.3',
      children: [
        group(
          'leases',
          leases.map(({ mac, ip, name }) => ({ name: formatIp(ip), value: formatMac(mac), detail: name })),
        ),
        group(
          'connections',
          this.tcp.describe().map(({ name, phase }) => ({ name, value: phase })),
        ),
        group(
          'datagrams',
          this.udp.describe().map((name) => ({ name })),
        ),
        group(
          'forwards',
          forwards.map(({ kind, hostPort, guestIp, guestPort }) => {
            return { name: `${kind} 127.0.0.1:${hostPort}`, value: `${formatIp(guestIp)}:${guestPort}` };
          }),
        ),
        group(
          'services outside',
          guestForwards.map(({ kind, port, hostPort }) => {
            return { name: `${kind} 10.0.2.2:${port}`, value: hostPort > 0xffff ? 'echo' : `127.0.0.1:${hostPort}` };
          }),
        ),
        group(
          'files at http://10.0.2.2',
          [...(this.options.files ?? [])].map(([name, { length }]) => ({ name, value: `${length} bytes` })),
        ),
        group(
          'names',
          this.names.describe().map((name) => ({ name })),
        ),
        group(
          'not there',
          [...this.refused].map(([name, times]) => ({ name, value: `asked for ${times} times` })),
        ),
      ],
    };
  }
}

function isOwn(ip: number): boolean {
  return ip === GATEWAY || ip === NAME_SERVER;
}
