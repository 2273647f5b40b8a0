import { describe, expect, test } from 'vitest';
import { buildEthernet } from '../../../../src/network/packets/ethernet.ts';
import { NvspVersion } from '../../../../src/platforms/hyperv/abi/nvsp.ts';
import { Oid, oidName, packetFilterText, RndisMessage, rndisStatusName } from '../../../../src/platforms/hyperv/abi/rndis.ts';
import { concat, FakePort, MAC, Netvsc, numbers, words } from './netvsc.ts';

const [SUCCESS, NOT_SUPPORTED, FAILURE] = [0, 0xc000_00bb, 0xc000_0001];

function started(version: number = NvspVersion.V61, queues = 1): Netvsc {
  const guest = new Netvsc(new FakePort(), queues);
  guest.start(version);
  return guest;
}

test('the adapter tells how it takes packets', () => {
  const guest = started();
  const answer = numbers(guest.control(RndisMessage.INITIALIZE, words(1, 0, 0x4000)));
  // Status, version 1.0, connectionless, 802.3; eight packets at once, 128 KiB, padded to eight bytes.
  expect(answer.slice(3)).toEqual([SUCCESS, 1, 0, 1, 0, 8, 0x2_0000, 3, 0, 0]);
});

describe('queries', () => {
  test.each<readonly [oid: number, value: readonly number[]]>([
    [Oid.GEN_MAXIMUM_FRAME_SIZE, [1500]],
    [Oid.GEN_MAXIMUM_TOTAL_SIZE, [1514]],
    [Oid.GEN_MEDIA_CONNECT_STATUS, [0]],
    [Oid.GEN_LINK_SPEED, [100_000_000]],
    [Oid.GEN_CURRENT_PACKET_FILTER, [0x0d]],
    [Oid.GEN_MAXIMUM_SEND_PACKETS, [8]],
    [Oid.GEN_RECEIVE_BUFFER_SPACE, [64 * 1728]],
    [Oid.GEN_TRANSMIT_BUFFER_SPACE, [4 * 6144]],
    [Oid.GEN_TRANSMIT_OK, [0]],
    [Oid.GEN_RECEIVE_OK, [0]],
    [Oid.GEN_RECEIVE_NO_BUFFER, [0]],
  ])('0x%s', (oid, value) => {
    const { status, value: found } = started().query(oid);
    expect([status, numbers(found)]).toEqual([SUCCESS, value]);
  });

  test('the address', () => {
    const guest = started();
    for (const oid of [Oid.ETHERNET_PERMANENT_ADDRESS, Oid.ETHERNET_CURRENT_ADDRESS])
      expect([...guest.query(oid).value]).toEqual([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
  });

  test('the list of those that are known has each that is answered', () => {
    const guest = started();
    const list = numbers(guest.query(Oid.GEN_SUPPORTED_LIST).value);
    expect(list).toEqual(expect.arrayContaining([Oid.GEN_LINK_SPEED, Oid.TCP_OFFLOAD_PARAMETERS]));
    expect(list.filter((oid) => oidName(oid).startsWith('OID 0x'))).toEqual([]);
  });

  test('of what is not known are refused', () => {
    expect(started().query(0x0001_9999)).toEqual({ status: NOT_SUPPORTED, value: new Uint8Array(0) });
  });

  test('before the adapter is initialized fail', () => {
    const guest = started();
    guest.rndis(words(RndisMessage.HALT, 12, 5), 1);
    expect(guest.query(Oid.GEN_LINK_SPEED).status).toBe(FAILURE);
    expect(guest.set(Oid.GEN_CURRENT_PACKET_FILTER, words(1))).toBe(FAILURE);
  });

  test.each([
    [NvspVersion.V61, 3, 156],
    [NvspVersion.V4, 2, 144],
  ])('offloads of NVSP %i are told in revision %i', (version, revision, size) => {
    const { value } = started(version).query(Oid.TCP_OFFLOAD_HARDWARE_CAPABILITIES, Uint8Array.of(0xa7, 3, 168, 0));
    expect([...value.slice(0, 4)]).toEqual([0xa7, revision, size, 0]);
    // Sending by IPv4 and IPv6: Ethernet, and checksums; nothing when receiving.
    expect(numbers(value).slice(1, 9)).toEqual([2, 0x155, 0, 0, 2, 0x55, 0, 0]);
    expect(numbers(value).slice(20, 23)).toEqual([2, 0xffff, 2]);
    expect(value.length).toBe(size);
  });

  test('queues: as many as there may be channels, and one where subchannels are not known', () => {
    const capabilities = (version: number) => {
      const { value } = started(version, 4).query(Oid.GEN_RECEIVE_SCALE_CAPABILITIES);
      return [value[0], value.length, numbers(value)[3]];
    };
    expect([NvspVersion.V61, NvspVersion.V4].map(capabilities)).toEqual([
      [0x88, 18, 4],
      [0x88, 18, 1],
    ]);
  });
});

describe('settings', () => {
  test.each<readonly [what: string, oid: number, value: Uint8Array, status: number]>([
    ['a packet filter', Oid.GEN_CURRENT_PACKET_FILTER, words(0x2b), SUCCESS],
    ['a packet filter that is too short', Oid.GEN_CURRENT_PACKET_FILTER, new Uint8Array(2), 0xc001_0014],
    ['a packet filter with unknown bits', Oid.GEN_CURRENT_PACKET_FILTER, words(0x8000), NOT_SUPPORTED],
    ['a multicast list', Oid.ETHERNET_MULTICAST_LIST, new Uint8Array(12), SUCCESS],
    ['a multicast list of odd length', Oid.ETHERNET_MULTICAST_LIST, new Uint8Array(7), 0xc001_0014],
    ['a multicast list that is too long', Oid.ETHERNET_MULTICAST_LIST, new Uint8Array(6 * 33), 0xc001_0009],
    ['offload parameters', Oid.TCP_OFFLOAD_PARAMETERS, new Uint8Array(32), SUCCESS],
    ['a lookahead', Oid.GEN_CURRENT_LOOKAHEAD, words(128), SUCCESS],
    ['what is only asked', Oid.GEN_LINK_SPEED, words(5), 0xc001_0015],
    ['what is not known', 0x0001_9999, words(5), NOT_SUPPORTED],
  ])('%s', (_, oid, value, status) => {
    expect(started().set(oid, value)).toBe(status);
  });

  const utf16 = (text: string) => Uint8Array.from([...text].flatMap((letter) => [letter.charCodeAt(0), 0]));
  const parameter = (name: string, value: string) => {
    const [key, bytes] = [utf16(name), utf16(value)];
    return concat(words(20, key.length, 2, 20 + key.length, bytes.length), key, bytes);
  };

  test('another address', () => {
    const guest = started();
    expect(guest.set(Oid.GEN_RNDIS_CONFIG_PARAMETER, parameter('NetworkAddress', '525400AABBCC'))).toBe(SUCCESS);
    expect([...guest.query(Oid.ETHERNET_CURRENT_ADDRESS).value]).toEqual([0x52, 0x54, 0, 0xaa, 0xbb, 0xcc]);
    expect(guest.query(Oid.ETHERNET_PERMANENT_ADDRESS).value[3]).toBe(0x12);
    const frame = (destination: number) =>
      buildEthernet({ destination, source: 2, etherType: 0x800, payload: new Uint8Array(46) });
    guest.port.card?.receive(frame(MAC));
    guest.port.card?.receive(frame(0x5254_00aa_bbcc));
    expect(guest.channel.ring.length).toBe(1);
  });

  test.each([
    ['a group’s address', 'NetworkAddress', '01005E000001'],
    ['no address', 'NetworkAddress', 'hello'],
    ['another parameter', 'Speed', '1'],
  ])('%s is refused', (_, name, value) => {
    expect(started().set(Oid.GEN_RNDIS_CONFIG_PARAMETER, parameter(name, value))).not.toBe(SUCCESS);
  });
});

test('keep-alive is answered, and a reset forgets what was set', () => {
  const guest = started();
  expect(numbers(guest.control(RndisMessage.KEEPALIVE))[3]).toBe(SUCCESS);
  expect(numbers(guest.control(RndisMessage.RESET)).slice(2)).toEqual([SUCCESS, 1]);
  expect(numbers(guest.query(Oid.GEN_CURRENT_PACKET_FILTER).value)).toEqual([0]);
});

test('a request whose value is outside of it is refused', () => {
  const guest = started();
  expect(guest.rndis(words(RndisMessage.SET, 28, 7, Oid.GEN_CURRENT_PACKET_FILTER, 4, 100, 0), 1)).toBe(5);
  expect(guest.rndis(words(RndisMessage.QUERY, 12, 7), 1)).toBe(5);
  expect(guest.channel.ring).toEqual([]);
});

test('names', () => {
  expect(oidName(Oid.ETHERNET_PERMANENT_ADDRESS)).toBe('OID_802_3_PERMANENT_ADDRESS');
  expect(rndisStatusName(NOT_SUPPORTED)).toBe('RNDIS_STATUS_NOT_SUPPORTED');
  expect([packetFilterText(0x0d), packetFilterText(0)]).toEqual(['directed, all multicast, broadcast', 'none']);
});
