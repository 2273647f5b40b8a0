import type { Outside, OutsideEvent } from '../../src/network/outside.ts';
import { buildArp, parseArp } from '../../src/network/packets/arp.ts';
import { NO_BYTES } from '../../src/network/packets/bytes.ts';
import { buildEthernet, type EthernetFrame, EtherType, parseEthernet } from '../../src/network/packets/ethernet.ts';
import { buildIcmp, parseIcmp } from '../../src/network/packets/icmp.ts';
import { buildIpv4, Protocol, parseIpv4 } from '../../src/network/packets/ipv4.ts';
import { buildTcp, parseTcp, type TcpSegment } from '../../src/network/packets/tcp.ts';
import { buildUdp, parseUdp } from '../../src/network/packets/udp.ts';
import type { UserNetworkOptions } from '../../src/network/user/options.ts';
import { FIRST_GUEST, GATEWAY, GATEWAY_MAC } from '../../src/network/user/subnet.ts';
import { UserNetwork, type UserNetworkState } from '../../src/network/user/user-network.ts';
import { FakeClock } from '../devices/fake-clock.ts';

export const MAC = 0x5254_0012_3456;
export const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
export const encoded = (words: string) => new TextEncoder().encode(words);

type Segment = Pick<TcpSegment, 'sequence' | 'acknowledgment' | 'flags' | 'window' | 'mss' | 'payload'>;

/** What a network asked of the world outside, as words. */
export class FakeOutside implements Outside {
  readonly asked: string[] = [];
  /** Bytes that were sent, by flow. */
  readonly sent = new Map<number, string>();

  open(flow: number, kind: string, port: number): void {
    this.asked.push(`open ${flow} ${kind} ${port}`);
  }
  send(flow: number, bytes: Uint8Array): void {
    this.sent.set(flow, (this.sent.get(flow) ?? '') + text(bytes));
  }
  finish(flow: number): void {
    this.asked.push(`finish ${flow}`);
  }
  close(flow: number): void {
    this.asked.push(`close ${flow}`);
  }
  setFlowing(flow: number, isFlowing: boolean): void {
    this.asked.push(`${isFlowing ? 'resume' : 'pause'} ${flow}`);
  }
}

/** A guest of a user network, made by hand: it sends what a test tells it to, and keeps what it gets. */
export class Station {
  readonly clock = new FakeClock();
  readonly outside = new FakeOutside();
  readonly network: UserNetwork;
  readonly frames: EthernetFrame[] = [];

  constructor(options: Partial<UserNetworkOptions> = {}, state?: UserNetworkState) {
    this.network = new UserNetwork(
      {
        clock: this.clock,
        outside: this.outside,
        send: (bytes) => {
          const frame = parseEthernet(bytes);
          if (frame) this.frames.push(frame);
        },
      },
      { forwards: [], guestForwards: [], hosts: new Map(), ...options },
    );
    if (state) this.network.restore(state);
  }

  happened(event: OutsideEvent): void {
    this.network.happened(event);
  }

  send(etherType: number, payload: Uint8Array, destination = GATEWAY_MAC): void {
    this.network.receive(buildEthernet({ destination, source: MAC, etherType, payload }));
  }
  sendIp(protocol: number, payload: Uint8Array, { source = FIRST_GUEST, destination = GATEWAY } = {}): void {
    this.send(EtherType.IPV4, buildIpv4({ source, destination, protocol, payload }));
  }
  sendUdp(sourcePort: number, destinationPort: number, payload: Uint8Array, destination = GATEWAY): void {
    const datagram = { sourcePort, destinationPort, payload };
    this.sendIp(Protocol.UDP, buildUdp(datagram, { source: FIRST_GUEST, destination }), { destination });
  }
  ping(destination: number): void {
    this.sendIp(Protocol.ICMP, buildIcmp({ type: 8, code: 0, body: encoded('....ping') }), { destination });
  }
  sendTcp(sourcePort: number, destinationPort: number, segment: Partial<Segment>, destination = GATEWAY): void {
    const whole = { sequence: 0, acknowledgment: 0, flags: 0, window: 0xffff, payload: NO_BYTES, ...segment };
    const pair = { source: FIRST_GUEST, destination };
    this.sendIp(Protocol.TCP, buildTcp({ ...whole, sourcePort, destinationPort }, pair), { destination });
  }
  askFor(targetIp: number, senderIp = FIRST_GUEST): void {
    const request = { operation: 1, senderMac: MAC, senderIp, targetMac: 0, targetIp };
    this.send(EtherType.ARP, buildArp(request), 0xffff_ffff_ffff);
  }
  /** Says who it is, as any guest does before it gets anything. */
  announce(): this {
    this.askFor(GATEWAY);
    this.frames.length = 0;
    return this;
  }

  // --- what has come, which is gone afterwards ----------------------------------------------------------------------------

  take(): EthernetFrame[] {
    return this.frames.splice(0);
  }
  takeArp() {
    return this.take().map(({ payload }) => parseArp(payload));
  }
  private takeIp(protocol: number) {
    return this.take()
      .flatMap(({ payload }) => parseIpv4(payload) ?? [])
      .filter((packet) => packet.protocol === protocol);
  }
  takeIcmp() {
    return this.takeIp(Protocol.ICMP).map((packet) => ({ from: packet.source, ...parseIcmp(packet.payload) }));
  }
  takeUdp() {
    return this.takeIp(Protocol.UDP).map((packet) => ({
      from: packet.source,
      to: packet.destination,
      ...parseUdp(packet.payload, packet),
    }));
  }
  takeTcp(): TcpSegment[] {
    return this.takeIp(Protocol.TCP).flatMap((packet) => parseTcp(packet.payload, packet) ?? []);
  }
}
