import { describe, expect, test } from 'vitest';
import { foldChecksum, wordSum } from '../../src/devices/checksum.ts';
import { formatIp, formatMac, isGroupMac, parseIp, parseMac } from '../../src/network/packets/addresses.ts';
import { buildArp, parseArp } from '../../src/network/packets/arp.ts';
import { buildDhcpReply, DhcpOption, DhcpType, numberOption, parseDhcp, word } from '../../src/network/packets/dhcp.ts';
import { buildDnsAnswer, buildDnsProblem, DnsCode, DnsType, encodeName, parseDns } from '../../src/network/packets/dns.ts';
import { buildEthernet, EtherType, parseEthernet } from '../../src/network/packets/ethernet.ts';
import { buildIcmp, buildUnreachable, IcmpType, parseIcmp, Unreachable } from '../../src/network/packets/icmp.ts';
import { buildIpv4, Protocol, parseIpv4 } from '../../src/network/packets/ipv4.ts';
import { buildTcp, parseTcp, TcpFlag } from '../../src/network/packets/tcp.ts';
import { buildUdp, parseUdp } from '../../src/network/packets/udp.ts';
import { Random } from '../support/random.ts';

const hexBytes = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const hexText = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const [GUEST, GATEWAY] = [0x0a00020f, 0x0a000202];
const pair = { source: GUEST, destination: GATEWAY };

describe('addresses', () => {
  test.each([
    ['10.0.2.15', GUEST],
    ['255.255.255.255', 0xffff_ffff],
    ['0.0.0.0', 0],
  ])('%s', (text, ip) => expect([parseIp(text), formatIp(ip)]).toEqual([ip, text]));
  test.each(['10.0.2', '10.0.2.256', '10.0.2.2.2', 'a.b.c.d', ''])('"%s" is no address', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });
  test('of Ethernet', () => {
    expect(parseMac('52:54:00:12:34:56')).toBe(0x5254_0012_3456);
    expect(formatMac(0x5254_0012_3456)).toBe('52:54:00:12:34:56');
    expect(['01:00:5e:00:00:01', '00:00:00:00:00:00', '52:54:00:12:34', '52-54-00-12-34-56'].map(parseMac)).toEqual(
      Array.from({ length: 4 }),
    );
    expect([0x0100_5e00_0001, 0xffff_ffff_ffff, 0x5254_0012_3456].map(isGroupMac)).toEqual([true, true, false]);
  });
});

test('the checksum is that of the examples', () => {
  // RFC 1071, 3.
  expect(foldChecksum(wordSum(hexBytes('0001 f203 f4f5 f6f7')))).toBe(0x220d);
  expect(foldChecksum(wordSum(Uint8Array.of(0x12)))).toBe(0xedff);
  // A well-known header, whose checksum is b861.
  expect(foldChecksum(wordSum(hexBytes('4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7')))).toBe(0xb861);
});

test('Ethernet frames are filled up to 60 bytes', () => {
  const frame = buildEthernet({
    destination: 0xffff_ffff_ffff,
    source: 0x5254_0012_3456,
    etherType: EtherType.ARP,
    payload: Uint8Array.of(1, 2),
  });
  expect(frame.length).toBe(60);
  expect(hexText(frame.subarray(0, 17))).toBe('ffffffffffff52540012345608060102' + '00');
  expect(parseEthernet(frame)).toMatchObject({ destination: 0xffff_ffff_ffff, source: 0x5254_0012_3456, etherType: 0x0806 });
  expect(parseEthernet(frame.subarray(0, 13))).toBeUndefined();
});

test('ARP', () => {
  const bytes = hexBytes('0001 0800 0604 0001 525400123456 0a00020f 000000000000 0a000202');
  const packet = { operation: 1, senderMac: 0x5254_0012_3456, senderIp: GUEST, targetMac: 0, targetIp: GATEWAY };
  expect(parseArp(bytes)).toEqual(packet);
  expect(buildArp(packet)).toEqual(bytes);
  expect(parseArp(bytes.subarray(0, 27))).toBeUndefined();
  expect(parseArp(hexBytes('0001 86dd 0604 0001 525400123456 0a00020f 000000000000 0a000202'))).toBeUndefined();
});

describe('IPv4', () => {
  const packet = buildIpv4({ ...pair, protocol: Protocol.ICMP, payload: Uint8Array.of(1, 2, 3) });

  test('what is built is read again', () => {
    expect(hexText(packet)).toBe('45000017' + '00004000' + '400122d6' + '0a00020f' + '0a000202' + '010203');
    expect(parseIpv4(packet)).toEqual({ ...pair, protocol: 1, payload: Uint8Array.of(1, 2, 3) });
  });
  test('bytes behind the packet are not of it, options are skipped', () => {
    expect(parseIpv4(Uint8Array.of(...packet, 0, 0, 0))?.payload).toEqual(Uint8Array.of(1, 2, 3));
    const header = hexBytes('4600 0019 0000 4000 4001 0000 0a00020f 0a000202 01010101');
    new DataView(header.buffer).setUint16(10, foldChecksum(wordSum(header)));
    expect(parseIpv4(Uint8Array.of(...header, 7, 8))?.payload).toEqual(Uint8Array.of(7));
    expect(parseIpv4(header)).toBeUndefined();
  });
  test.each([
    ['a wrong checksum', 11, 0],
    ['another version', 0, 0x65],
    ['a header that is too short', 0, 0x44],
    ['a length beyond the bytes', 3, 0x40],
    ['a fragment', 7, 1],
    ['more fragments to come', 6, 0x20],
  ])('%s is no packet', (_what, at, value) => {
    const wrong = packet.slice();
    wrong[at] = value;
    if (at !== 11) {
      new DataView(wrong.buffer).setUint16(10, 0);
      new DataView(wrong.buffer).setUint16(10, foldChecksum(wordSum(wrong.subarray(0, 20))));
    }
    expect(parseIpv4(wrong)).toBeUndefined();
  });
});

test('ICMP', () => {
  const echo = buildIcmp({ type: IcmpType.ECHO_REQUEST, code: 0, body: hexBytes('0001 0002 6162') });
  expect(parseIcmp(echo)).toEqual({ type: 8, code: 0, body: hexBytes('0001 0002 6162') });
  echo[7] = 9;
  expect(parseIcmp(echo)).toBeUndefined();
  const packet = buildIpv4({ ...pair, protocol: Protocol.UDP, payload: new Uint8Array(40) });
  const unreachable = parseIcmp(buildUnreachable(Unreachable.PORT, packet));
  expect(unreachable).toMatchObject({ type: 3, code: 3 });
  expect(unreachable?.body).toEqual(Uint8Array.of(0, 0, 0, 0, ...packet.subarray(0, 28)));
});

test('UDP, with and without a checksum', () => {
  const datagram = { sourcePort: 0x1234, destinationPort: 53, payload: Uint8Array.of(1, 2, 3) };
  const bytes = buildUdp(datagram, pair);
  // ~(0a00+020f + 0a00+0202 + 0011+000b + 1234+0035+000b + 0102+0300)
  expect(hexText(bytes)).toBe('1234' + '0035' + '000b' + 'd15c' + '010203');
  expect(parseUdp(bytes, pair)).toEqual(datagram);
  expect(parseUdp(bytes, { ...pair, source: 1 })).toBeUndefined();
  bytes.set([0, 0], 6);
  expect(parseUdp(bytes, { ...pair, source: 1 })).toEqual(datagram);
  bytes[5] = 7;
  expect(parseUdp(bytes, pair)).toBeUndefined();
});

test('TCP', () => {
  const segment = {
    sourcePort: 40_000,
    destinationPort: 80,
    sequence: 0xffff_fff0,
    acknowledgment: 7,
    flags: TcpFlag.SYN | TcpFlag.ACK,
    window: 65_535,
    mss: 1460,
    payload: Uint8Array.of(1),
  };
  const bytes = buildTcp(segment, pair);
  expect(bytes.length).toBe(25);
  expect(parseTcp(bytes, pair)).toEqual(segment);
  expect(parseTcp(bytes, { ...pair, source: 1 })).toBeUndefined();
  bytes[12] = 0xf0;
  expect(parseTcp(bytes, pair)).toBeUndefined();
});

test('DHCP', () => {
  const request = new Uint8Array(260);
  request.set(hexBytes('010106 00 12345678 0000 8000'));
  request.set(hexBytes('525400123456'), 28);
  request.set(hexBytes('63825363 00 350101 3204 0a000210 0c02 6162 ff'), 236);
  const parsed = parseDhcp(request);
  if (!parsed) throw new Error('a right request is refused');
  expect(parsed).toMatchObject({ type: DhcpType.DISCOVER, transaction: 0x12345678, mac: 0x5254_0012_3456, wantsBroadcast: true });
  expect(numberOption(parsed.options, DhcpOption.REQUESTED_ADDRESS)).toBe(0x0a000210);
  expect(numberOption(parsed.options, DhcpOption.HOST_NAME)).toBeUndefined();
  const reply = buildDhcpReply({
    type: DhcpType.OFFER,
    to: parsed,
    ip: GUEST,
    serverIp: GATEWAY,
    options: [[DhcpOption.SUBNET_MASK, word(0xffff_ff00)]],
  });
  expect(reply.length).toBe(300);
  expect(hexText(reply.subarray(0, 36))).toBe(
    '02010600' + '12345678' + '00008000' + '00000000' + '0a00020f' + '0a000202' + '00000000' + '525400123456' + '0000',
  );
  expect(hexText(reply.subarray(236, 256))).toBe('63825363' + '350102' + '36040a000202' + '0104ffffff00' + 'ff');
  expect(parseDhcp(reply)).toBeUndefined();
});

describe('DNS', () => {
  const query = hexBytes('abcd 0100 0001 0000 0000 0000 06 536572766572 04 74657374 00 0001 0001');

  test('questions and answers', () => {
    const parsed = parseDns(query);
    if (!('query' in parsed)) throw new Error('a right question is refused');
    expect(parsed.query).toMatchObject({ id: 0xabcd, name: 'server.test', type: DnsType.A, wantsRecursion: true });
    const answer = buildDnsAnswer(parsed.query, DnsCode.OK, [{ type: DnsType.A, value: word(GATEWAY) }]);
    expect(hexText(answer)).toBe(
      'abcd' +
        '8580' +
        '0001' +
        '0001' +
        '00000000' +
        hexText(query.subarray(12)) +
        'c00c00010001' +
        '0000003c' +
        '0004' +
        '0a000202',
    );
  });
  test.each([
    ['a loop of labels', 'abcd 0100 0001 0000 0000 0000 c00c 0001 0001', DnsCode.FORMAT_ERROR],
    ['a name without an end', 'abcd 0100 0001 0000 0000 0000 03 616263', DnsCode.FORMAT_ERROR],
    ['two questions', 'abcd 0100 0002 0000 0000 0000 00 0001 0001', DnsCode.FORMAT_ERROR],
    ['no type', 'abcd 0100 0001 0000 0000 0000 00 0001', DnsCode.FORMAT_ERROR],
    ['another kind of message', 'abcd 2800 0001 0000 0000 0000 00 0001 0001', DnsCode.NOT_IMPLEMENTED],
    ['another class', 'abcd 0100 0001 0000 0000 0000 00 0001 0003', DnsCode.NOT_IMPLEMENTED],
  ])('%s is answered with its code', (_what, text, code) => {
    const problem = { id: 0xabcd, code };
    expect(parseDns(hexBytes(text))).toEqual({ problem });
    expect(hexText(buildDnsProblem(problem))).toBe(`abcd800${code}${'0'.repeat(16)}`);
  });
  test('answers and torn messages are not answered', () => {
    expect([hexBytes('abcd 8100 0001 0000 0000 0000'), hexBytes('abcd 0100')].map(parseDns)).toEqual([
      { problem: undefined },
      { problem: undefined },
    ]);
  });
  test('names', () => {
    expect(hexText(encodeName('server.test'))).toBe('06736572766572' + '0474657374' + '00');
    expect(hexText(encodeName(''))).toBe('00');
  });
});

test('no bytes make a reader throw', () => {
  const random = new Random(5);
  const readers = [parseEthernet, parseArp, parseIpv4, parseIcmp, parseDhcp, parseDns];
  const dhcp = new Uint8Array(300);
  dhcp.set(hexBytes('010106'));
  dhcp.set(hexBytes('63825363 350101'), 236);
  const models = [
    buildUdp({ sourcePort: 1, destinationPort: 2, payload: random.bytes(20) }, pair),
    dhcp,
    hexBytes('abcd 0100 0001 0000 0000 0000 03616263 00 0001 0001'),
  ];
  for (let round = 0; round < 20_000; round++) {
    const bytes = random.below(4) === 0 ? random.bytes(random.below(80)) : random.pick(models).slice(0, random.below(320));
    for (let changes = random.below(6); changes > 0; changes--) bytes[random.below(bytes.length)] = random.below(256);
    for (const reader of readers) reader(bytes);
    parseUdp(bytes, pair);
    parseTcp(bytes, pair);
  }
});
