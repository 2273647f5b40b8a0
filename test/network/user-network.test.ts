import { describe, expect, test } from 'vitest';
import type { InspectNode } from '../../src/devices/inspect.ts';
import { parseIp } from '../../src/network/packets/addresses.ts';
import { viewOf } from '../../src/network/packets/bytes.ts';
import { DnsType } from '../../src/network/packets/dns.ts';
import { EtherType } from '../../src/network/packets/ethernet.ts';
import { NetworkOptionError, parseForward, parseGuestForward, parseHost } from '../../src/network/user/options.ts';
import { FIRST_GUEST, GATEWAY, GATEWAY_MAC, NAME_SERVER } from '../../src/network/user/subnet.ts';
import { Random } from '../support/random.ts';
import { encoded, MAC, Station, text } from './station.ts';

const ip = (words: string) => parseIp(words) ?? 0;
const hexBytes = (words: string) => new Uint8Array(Buffer.from(words.replaceAll(/\s/g, ''), 'hex'));
const ELSEWHERE = ip('192.0.2.1');

/** What `inspect` shows under a name, as `name value`. */
function shown(node: InspectNode, name: string): string[] {
  return (node.children?.find((child) => child.name === name)?.children ?? []).map((child) => `${child.name} ${child.value}`);
}

describe('ARP', () => {
  test.each([GATEWAY, NAME_SERVER])('says where %d is', (address) => {
    const station = new Station();
    station.askFor(address);
    const reply = { operation: 2, senderMac: GATEWAY_MAC, senderIp: address, targetMac: MAC, targetIp: FIRST_GUEST };
    expect(station.takeArp()).toEqual([reply]);
  });
  test('says nothing of others, and lets a guest look whether its address is free', () => {
    const station = new Station();
    station.askFor(FIRST_GUEST + 1);
    station.askFor(FIRST_GUEST, 0);
    station.askFor(GATEWAY, GATEWAY);
    expect(station.take()).toEqual([]);
  });
  test('asks for a guest whose address it does not know, and sends then what waits', () => {
    const station = new Station({ forwards: [parseForward('udp:9000:7')] });
    station.happened({ kind: 'accepted', flow: 1, forward: 0 });
    station.happened({ kind: 'data', flow: 1, bytes: encoded('hello') });
    expect(station.takeArp()).toMatchObject([{ operation: 1, senderIp: GATEWAY, targetIp: FIRST_GUEST }]);
    station.askFor(FIRST_GUEST, FIRST_GUEST);
    const [datagram] = station.takeUdp();
    expect(text(datagram?.payload ?? hexBytes(''))).toBe('hello');
  });
});

describe('pings', () => {
  test.each([GATEWAY, NAME_SERVER])('%d answers', (address) => {
    const station = new Station().announce();
    station.ping(address);
    expect(station.takeIcmp()).toMatchObject([{ from: address, type: 0, body: encoded('....ping') }]);
  });
  test('whoever is not there is unreachable: hosts of the network, and other networks', () => {
    const station = new Station().announce();
    station.ping(FIRST_GUEST + 7);
    station.ping(ELSEWHERE);
    expect(station.takeIcmp()).toMatchObject([
      { from: GATEWAY, type: 3, code: 1 },
      { from: GATEWAY, type: 3, code: 0 },
    ]);
    expect(shown(station.network.inspect(), 'not there')).toEqual(['192.0.2.1 asked for 1 times']);
  });
});

describe('DHCP', () => {
  const message = (type: number, options = '', mac = '525400123456', flags = '0000') => {
    const bytes = new Uint8Array(300);
    bytes.set(hexBytes(`010106 00 cafebabe 0000 ${flags}`));
    bytes.set(hexBytes(mac), 28);
    bytes.set(hexBytes(`63825363 3501 0${type} ${options} ff`), 236);
    return bytes;
  };
  const exchange = (station: Station, bytes: Uint8Array) => {
    station.sendUdp(68, 67, bytes, 0xffff_ffff);
    const [frame] = station.frames;
    const [reply] = station.takeUdp();
    if (reply?.payload === undefined) return undefined;
    const { payload } = reply;
    return { to: reply.to, mac: frame?.destination, type: payload[242], ip: viewOf(payload).getUint32(16), payload };
  };

  test('gives the same addresses again, by Ethernet address', () => {
    const station = new Station();
    const offer = exchange(station, message(1));
    expect(offer).toMatchObject({ to: FIRST_GUEST, mac: MAC, type: 2, ip: FIRST_GUEST });
    // Server, mask, router, name server, MTU, lease time.
    expect(Buffer.from(offer?.payload.subarray(243, 280) ?? []).toString('hex')).toBe(
      '36040a0002020104ffffff0003040a00020206040a0002031a0205dc330400015180ff0000',
    );
    expect(exchange(station, message(3, '32040a00020f 36040a000202'))).toMatchObject({ type: 5, ip: FIRST_GUEST });
    expect(exchange(station, message(1, '', '525400123457'))).toMatchObject({ ip: FIRST_GUEST + 1 });
    expect(exchange(station, message(1))).toMatchObject({ ip: FIRST_GUEST });
    expect(shown(station.network.inspect(), 'leases')).toEqual(['10.0.2.15 52:54:00:12:34:56', '10.0.2.16 52:54:00:12:34:57']);
  });
  test('answers clients that want it to all stations', () => {
    expect(exchange(new Station(), message(1, '', '525400123456', '8000'))).toMatchObject({
      to: 0xffff_ffff,
      mac: 0xffff_ffff_ffff,
    });
  });
  test('refuses the address of another one, and leaves what is for another server', () => {
    const station = new Station();
    expect(exchange(station, message(3, '32040a000299'))).toMatchObject({ type: 6, ip: 0, to: 0xffff_ffff });
    expect(exchange(station, message(3, '32040a00020f 36040a000299'))).toBeUndefined();
    expect(exchange(station, message(7))).toBeUndefined();
  });
  test('has no address for more guests than there are addresses', () => {
    const station = new Station();
    const macs = Array.from({ length: 241 }, (_, index) => `5254000000${index.toString(16).padStart(2, '0')}`);
    const offers = macs.map((mac) => exchange(station, message(1, '', mac))?.ip);
    expect([offers[239], offers[240]]).toEqual([ip('10.0.2.254'), undefined]);
  });
});

describe('names', () => {
  const ask = (station: Station, name: string, type: number) => {
    const labels = name.split('.').map((label) => Buffer.concat([Uint8Array.of(label.length), encoded(label)]));
    const question = Buffer.concat([
      hexBytes('0007 0100 0001 0000 0000 0000'),
      ...labels,
      hexBytes(`00 00${type.toString(16).padStart(2, '0')} 0001`),
    ]);
    station.sendUdp(4000, 53, question, NAME_SERVER);
    const [reply] = station.takeUdp();
    const payload = reply?.payload ?? hexBytes('00'.repeat(12));
    return { code: (payload[3] ?? 0) & 15, answers: payload[7], end: Buffer.from(payload.subarray(-4)).toString('hex') };
  };
  const station = new Station({ hosts: new Map([['server.test', GATEWAY]]) }).announce();

  test('that the user gave', () => {
    expect(ask(station, 'Server.TEST', DnsType.A)).toEqual({ code: 0, answers: 1, end: '0a000202' });
    expect(ask(station, 'server.test', DnsType.AAAA)).toMatchObject({ code: 0, answers: 0 });
    expect(ask(station, '2.2.0.10.in-addr.arpa', DnsType.PTR)).toMatchObject({ code: 0, answers: 1 });
  });
  test('that nobody gave are not there', () => {
    expect(ask(station, 'example.com', DnsType.A)).toMatchObject({ code: 3, answers: 0 });
    expect(ask(station, '3.2.0.10.in-addr.arpa', DnsType.PTR)).toMatchObject({ code: 3, answers: 0 });
  });
});

describe('UDP', () => {
  test('goes to services that the user named, and back', () => {
    const station = new Station({ guestForwards: [parseGuestForward('udp:7:7777')] }).announce();
    station.sendUdp(4000, 7, encoded('one'));
    station.sendUdp(4000, 7, encoded('two'));
    station.sendUdp(4001, 7, encoded('three'));
    expect(station.outside.asked).toEqual(['open 2 udp 7777', 'open 4 udp 7777']);
    expect([...station.outside.sent]).toEqual([
      [2, 'onetwo'],
      [4, 'three'],
    ]);
    station.happened({ kind: 'data', flow: 4, bytes: encoded('back') });
    expect(station.takeUdp()).toMatchObject([{ from: GATEWAY, sourcePort: 7, destinationPort: 4001, payload: encoded('back') }]);
  });
  test('nobody is at other ports', () => {
    const station = new Station().announce();
    station.sendUdp(4000, 7, encoded('one'));
    expect(station.takeIcmp()).toMatchObject([{ type: 3, code: 3 }]);
    expect(shown(station.network.inspect(), 'not there')).toEqual(['udp 10.0.2.2:7 asked for 1 times']);
  });
  test('is open for answers for a minute', () => {
    const station = new Station({ guestForwards: [parseGuestForward('udp:7')] }).announce();
    expect(station.network.isOpen).toBe(false);
    station.sendUdp(4000, 7, encoded('one'));
    station.clock.advance(60_000_000_000n);
    expect(station.network.isOpen).toBe(true);
    station.clock.advance(1n);
    expect(station.network.isOpen).toBe(false);
  });
  test('forgets the conversations that were used longest ago', () => {
    const station = new Station({ guestForwards: [parseGuestForward('udp:7')] }).announce();
    for (let port = 1; port <= 65; port++) station.sendUdp(port, 7, encoded('x'));
    expect(station.outside.asked.filter((words) => words.startsWith('close'))).toEqual(['close 2']);
  });
});

describe('options', () => {
  test('that are right', () => {
    expect(parseForward('tcp:8080:80')).toEqual({ kind: 'tcp', hostPort: 8080, guestIp: FIRST_GUEST, guestPort: 80 });
    expect(parseForward('udp:53:10.0.2.16:5353')).toMatchObject({ kind: 'udp', guestIp: FIRST_GUEST + 1, guestPort: 5353 });
    expect(parseGuestForward('tcp:80:8000')).toEqual({ kind: 'tcp', port: 80, hostPort: 8000 });
    expect(parseGuestForward('tcp:80')).toEqual({ kind: 'tcp', port: 80, hostPort: 80 });
    expect([parseHost('Server.test'), parseHost('a=10.0.2.9')]).toEqual([
      ['server.test', GATEWAY],
      ['a', ip('10.0.2.9')],
    ]);
  });
  test.each([
    () => parseForward('8080:80'),
    () => parseForward('tcp:8080'),
    () => parseForward('tcp:0:80'),
    () => parseForward('tcp:80:65536'),
    () => parseForward('tcp:80:10.0.3.1:80'),
    () => parseGuestForward('sctp:80'),
    () => parseGuestForward('tcp:70000'),
    () => parseHost('-a=10.0.2.2'),
    () => parseHost('a=10.0.2'),
  ])('that are wrong: %s', (parse) => expect(parse).toThrow(NetworkOptionError));
});

test('what is for others, or from a group, is not heard', () => {
  const station = new Station();
  station.send(EtherType.ARP, new Uint8Array(28), MAC);
  station.send(0x86dd, new Uint8Array(40));
  station.network.receive(new Uint8Array(10));
  station.network.receive(new Uint8Array(60).fill(0xff));
  expect(station.take()).toEqual([]);
});

test('no frames and no events make it throw, and it goes on', () => {
  const random = new Random(11);
  const station = new Station({
    guestForwards: [parseGuestForward('tcp:80'), parseGuestForward('udp:7')],
    forwards: [parseForward('tcp:8080:80'), parseForward('udp:9000:7')],
    hosts: new Map([['server.test', GATEWAY]]),
  });
  const { network } = station;
  const seen: Uint8Array[] = [];
  const original = network.receive.bind(network);
  network.receive = (bytes) => {
    seen.push(bytes);
    original(bytes);
  };
  station.askFor(GATEWAY);
  station.ping(GATEWAY);
  station.sendUdp(1, 7, encoded('x'));
  station.sendUdp(1, 53, hexBytes('0007 0100 0001 0000 0000 0000 0161 00 0001 0001'), NAME_SERVER);
  station.sendUdp(68, 67, Buffer.concat([hexBytes('010106'), new Uint8Array(233), hexBytes('63825363 350101 ff')]));
  station.sendTcp(1, 80, { flags: 2, mss: 1460 });
  station.sendTcp(1, 80, { flags: 16, sequence: 1, payload: encoded('GET') });
  const kinds = ['accepted', 'connected', 'data', 'taken', 'finished', 'closed'] as const;
  for (let round = 0; round < 20_000; round++) {
    const frame = random.pick(seen).slice(0, random.below(8) === 0 ? random.below(100) : undefined);
    for (let changes = random.below(4); changes > 0; changes--) frame[random.below(frame.length)] = random.below(256);
    original(frame);
    if (random.below(4) === 0) {
      const [kind, flow] = [random.pick(kinds), random.below(300)];
      station.happened({
        kind,
        flow,
        forward: random.below(3),
        count: random.below(9000),
        bytes: random.bytes(random.below(2000)),
      });
    }
    if (random.below(16) === 0) station.clock.advance(BigInt(random.below(2_000_000_000)));
    station.frames.length = 0;
  }
  station.announce().ping(GATEWAY);
  expect(station.takeIcmp()).toMatchObject([{ type: 0 }]);
});
