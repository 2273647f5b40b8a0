import { describe, expect, test } from 'vitest';
import { foldChecksum, pseudoHeaderSum, wordSum } from '../../../../src/devices/checksum.ts';
import { buildEthernet, EtherType } from '../../../../src/network/packets/ethernet.ts';
import { buildIpv4, Protocol } from '../../../../src/network/packets/ipv4.ts';
import { buildTcp, TcpFlag } from '../../../../src/network/packets/tcp.ts';
import {
  NO_SECTION,
  NvspMessage,
  NvspVersion,
  nvspMessage,
  RECEIVE_BUFFER_ID,
} from '../../../../src/platforms/hyperv/abi/nvsp.ts';
import { PacketType } from '../../../../src/platforms/hyperv/abi/ring.ts';
import { Oid, PacketInfo, RssHash } from '../../../../src/platforms/hyperv/abi/rndis.ts';
import { setScaling, toeplitz } from '../../../../src/platforms/hyperv/vsps/network/rss.ts';
import { Random } from '../../../support/random.ts';
import { bufferOf, concat, FakeChannel, FakePort, GPADL, MAC, Netvsc, numbers, rndisPacket, words } from './netvsc.ts';

const OTHER = 0x5254_0012_3457;
const frameOf = (length: number, destination = OTHER, source = MAC, etherType: number = EtherType.ARP) =>
  buildEthernet({ destination, source, etherType, payload: Uint8Array.from({ length: length - 14 }, (_, index) => index) });
const toGuest = (length = 60) => frameOf(length, MAC, OTHER);
const dataOf = (message: Uint8Array | undefined) => {
  const fields = numbers(message ?? new Uint8Array(0));
  return message?.slice(8 + (fields[2] ?? 0), 8 + (fields[2] ?? 0) + (fields[3] ?? 0));
};

describe('NVSP', () => {
  test.each([
    ['0.2', NvspVersion.V1],
    ['3.2', NvspVersion.V2],
    ['4.0', NvspVersion.V4],
    ['5.0', NvspVersion.V5],
    ['6.0', NvspVersion.V6],
    ['6.1', NvspVersion.V61],
  ])('version %s is agreed on, and no other one afterwards', (name, version) => {
    const guest = new Netvsc();
    expect(guest.nvsp(NvspVersion.V1, NvspMessage.INIT, 0x70000, 0x70000).slice(0, 4)).toEqual([2, 0, 34, 2]);
    expect(guest.nvsp(NvspVersion.V1, NvspMessage.INIT, version, version).slice(0, 4)).toEqual([2, 0, 34, 1]);
    expect(guest.nvsp(NvspVersion.V1, NvspMessage.INIT, version, version)[3]).toBe(2);
    expect(guest.vsp.inspect().children?.[0]).toEqual({ name: 'version', value: name });
  });

  test('the newest version of a range is agreed on', () => {
    const guest = new Netvsc();
    guest.nvsp(NvspVersion.V1, NvspMessage.INIT, NvspVersion.V1, 0x50007);
    expect(guest.vsp.inspect().children?.[0]?.value).toBe('5.0');
  });

  test('the receive buffer is cut into sections of 1728 bytes, the send buffer into those of 6144', () => {
    const guest = new Netvsc();
    guest.nvsp(NvspVersion.V1, NvspMessage.INIT, NvspVersion.V61, NvspVersion.V61);
    const receive = guest.nvsp(NvspVersion.V61, NvspMessage.SEND_RECEIVE_BUFFER, GPADL.RECEIVE, RECEIVE_BUFFER_ID);
    expect(receive.slice(0, 7)).toEqual([102, 1, 1, 0, 1728, 64, 64 * 1728]);
    expect(guest.nvsp(NvspVersion.V61, NvspMessage.SEND_SEND_BUFFER, GPADL.SEND, 0).slice(0, 3)).toEqual([105, 1, 6144]);
  });

  test.each([
    ['a receive buffer before a version', false, NvspMessage.SEND_RECEIVE_BUFFER, [GPADL.RECEIVE, RECEIVE_BUFFER_ID]],
    ['a receive buffer of another number', true, NvspMessage.SEND_RECEIVE_BUFFER, [GPADL.RECEIVE, 1]],
    ['a receive buffer that is no memory', true, NvspMessage.SEND_RECEIVE_BUFFER, [77, RECEIVE_BUFFER_ID]],
    ['a send buffer that is no memory', true, NvspMessage.SEND_SEND_BUFFER, [77, 0]],
    ['subchannels where there is one vCPU', true, NvspMessage.SUBCHANNEL, [1, 3]],
    ['a query of an OID by NVSP', true, NvspMessage.OID_QUERY_EX, [0, 0]],
  ])('%s is refused', (_, isAgreed, type, fields) => {
    const guest = new Netvsc();
    if (isAgreed) guest.nvsp(NvspVersion.V1, NvspMessage.INIT, NvspVersion.V61, NvspVersion.V61);
    expect(guest.nvsp(NvspVersion.V61, type, ...fields)[1]).toBe(2);
  });

  test('a buffer can be taken away, and another one given', () => {
    const guest = new Netvsc();
    guest.start();
    const give = () => guest.nvsp(NvspVersion.V61, NvspMessage.SEND_RECEIVE_BUFFER, GPADL.RECEIVE, RECEIVE_BUFFER_ID)[1];
    expect(give()).toBe(2);
    expect(guest.nvsp(NvspVersion.V61, NvspMessage.REVOKE_RECEIVE_BUFFER, RECEIVE_BUFFER_ID)).toEqual([]);
    guest.port.card?.receive(toGuest());
    expect(guest.take()).toBeUndefined();
    expect(give()).toBe(1);
  });

  test('a message without a type, and one without fields, do no harm', () => {
    const guest = new Netvsc();
    guest.put(PacketType.DATA_IN_BAND, new Uint8Array(3));
    guest.put(PacketType.DATA_IN_BAND, words(NvspMessage.INIT));
    guest.put(PacketType.DATA_IN_BAND, words(NvspMessage.SEND_RNDIS_PACKET));
    expect(guest.channel.ring.length).toBe(3);
  });
});

describe('sending', () => {
  test('by GPA direct, several messages in one packet', () => {
    const guest = new Netvsc();
    guest.start();
    const [one, two] = [frameOf(64), frameOf(100)];
    expect(guest.rndis(concat(rndisPacket(one), rndisPacket(two)))).toBe(1);
    expect(guest.port.frames).toEqual([one, two]);
  });

  test('in a section of the send buffer, and partly there', () => {
    const guest = new Netvsc();
    guest.start();
    const message = rndisPacket(frameOf(200));
    const send = (inSection: number, section: number) => {
      if (section < 4) guest.send.bytes.set(message.subarray(0, inSection), section * 6144);
      const payload = nvspMessage(NvspVersion.V61, NvspMessage.SEND_RNDIS_PACKET, 0, section, inSection);
      const rest = inSection < message.length ? bufferOf(message.subarray(inSection)) : undefined;
      const type = rest ? PacketType.DATA_GPA_DIRECT : PacketType.DATA_IN_BAND;
      return numbers(guest.completion(guest.put(type, payload, rest)))[1];
    };
    expect([send(message.length, 2), send(44, 0)]).toEqual([1, 1]);
    expect(guest.port.frames).toEqual([frameOf(200), frameOf(200)]);
    expect([send(message.length, 4), send(7000, 0)]).toEqual([5, 5]);
  });

  test('each step has a name', () => {
    const guest = new Netvsc();
    guest.start();
    guest.steps.length = 0;
    guest.rndis(rndisPacket(frameOf(60)));
    expect(guest.path).toEqual([
      '> netvsp: NVSP_MSG1_TYPE_SEND_RNDIS_PKT',
      'netvsp.message',
      'netvsp-rndis.find',
      'netvsp-rndis.split',
      '> netvsp: send RNDIS packet',
      'netvsp-rndis.packet',
      'netvsp-rndis.transmit',
      '> virtual switch: forward',
      'netvsp-switch.forward',
      'netvsp-rndis.done',
      'netvsp.complete',
    ]);
    const values = guest.steps.flatMap((step) =>
      step.kind === 'stage' && step.id === 'netvsp-switch.forward' ? [step.values] : [],
    );
    expect(values).toEqual([{ bytes: 60, destination: '52:54:00:12:34:57', source: '52:54:00:12:34:56', etherType: 'ARP' }]);
    expect(guest.steps.flatMap((step) => (step.kind === 'enter' ? step.frame.component : []))).toEqual(
      Array(3).fill('vmswitch.sys'),
    );
  });

  test.each([
    ['data outside of the message', concat(words(1, 60, 36, 100), new Uint8Array(44))],
    ['a frame without a header', rndisPacket(new Uint8Array(13))],
    ['information outside of the message', concat(words(1, 60, 36, 14, 0, 0, 0, 100, 100, 0, 0), new Uint8Array(16))],
    ['information of size zero', concat(words(1, 64, 40, 16, 0, 0, 0, 36, 16, 0, 0), new Uint8Array(20))],
    ['no bytes', new Uint8Array(0)],
    ['a message longer than the packet', words(1, 100, 0)],
    ['a message shorter than its header', words(1, 4)],
    ['long segments over IPv6', rndisPacket(frameOf(100), [[PacketInfo.LARGE_SEND, 0xc000_0500]])],
    ['nine messages', concat(...Array.from({ length: 9 }, () => rndisPacket(frameOf(60))))],
  ])('%s: refused', (_, message) => {
    const guest = new Netvsc();
    guest.start();
    expect(guest.rndis(message)).toBe(5);
    expect(guest.port.frames).toEqual([]);
  });

  test('nothing before the adapter is initialized, or after it was halted', () => {
    const guest = new Netvsc();
    guest.nvsp(NvspVersion.V1, NvspMessage.INIT, NvspVersion.V61, NvspVersion.V61);
    expect(guest.rndis(rndisPacket(frameOf(60)))).toBe(5);
    guest.start();
    guest.rndis(words(3, 12, 1), 1);
    expect(guest.rndis(rndisPacket(frameOf(60)))).toBe(5);
    expect(guest.port.frames).toEqual([]);
  });

  const pair = { source: 0x0a00_020f, destination: 0x0a00_0202 };
  const segment = (payload: Uint8Array) => {
    const fields = { sourcePort: 4000, destinationPort: 80, sequence: 1000, acknowledgment: 2000, window: 100 };
    const tcp = buildTcp({ ...fields, flags: TcpFlag.ACK | TcpFlag.PSH, payload }, pair);
    const packet = buildIpv4({ ...pair, protocol: Protocol.TCP, payload: tcp });
    return buildEthernet({ destination: OTHER, source: MAC, etherType: EtherType.IPV4, payload: packet });
  };
  /** As a driver leaves it: the sum over the pseudo header where the checksum is to be. */
  const unfinished = (frame: Uint8Array) => {
    const bytes = frame.slice();
    const view = new DataView(bytes.buffer);
    view.setUint16(14 + 10, 0);
    view.setUint16(34 + 16, ~foldChecksum(pseudoHeaderSum(pair.source, pair.destination, 6, bytes.length - 34)) & 0xffff);
    return bytes;
  };

  test('checksums of TCP and IPv4 are made', () => {
    const guest = new Netvsc();
    guest.start();
    const frame = segment(Uint8Array.from({ length: 100 }, (_, index) => index));
    guest.rndis(rndisPacket(unfinished(frame), [[PacketInfo.CHECKSUM, 0x15 | (34 << 16)]]));
    expect(guest.port.frames).toEqual([frame]);
  });

  test('a long segment is cut', () => {
    const guest = new Netvsc();
    guest.start();
    const payload = Uint8Array.from({ length: 3000 }, (_, index) => index);
    guest.rndis(rndisPacket(unfinished(segment(payload)), [[PacketInfo.LARGE_SEND, 0x4000_0000 | (34 << 20) | 1460]]));
    expect(guest.port.frames.map(({ length }) => length)).toEqual([1514, 1514, 134]);
    for (const frame of guest.port.frames) {
      const tcp = frame.subarray(34);
      expect(foldChecksum(wordSum(tcp, pseudoHeaderSum(pair.source, pair.destination, 6, tcp.length)))).toBe(0);
    }
    expect(concat(...guest.port.frames.map((frame) => frame.subarray(54)))).toEqual(payload);
  });

  test('virtual networks: their tags come and go beside the frames', () => {
    const guest = new Netvsc();
    guest.start(NvspVersion.V61, 0x20);
    // Priority 5, network 100.
    guest.rndis(rndisPacket(frameOf(60), [[PacketInfo.IEEE_8021Q, 5 | (100 << 4)]]));
    const [frame = new Uint8Array(0)] = guest.port.frames;
    expect([...frame.subarray(12, 18)]).toEqual([0x81, 0, 0xa0, 100, 8, 6]);
    guest.port.card?.receive(frame);
    const message = guest.take();
    expect(numbers(message ?? frame).slice(11, 15)).toEqual([16, 6, 12, 5 | (100 << 4)]);
    expect(dataOf(message)).toEqual(frameOf(60));
  });
});

describe('receiving', () => {
  test('a frame comes as an RNDIS packet in a section of the receive buffer', () => {
    const guest = new Netvsc();
    guest.start();
    guest.port.card?.receive(toGuest(90));
    expect(dataOf(guest.take())).toEqual(toGuest(90));
  });

  test('sections are free again once the guest has read them; frames wait until then, and are lost when too many do', () => {
    const guest = new Netvsc();
    guest.start();
    for (let count = 0; count < 64 + 256 + 3; count++) guest.port.card?.receive(toGuest());
    expect(guest.channel.ring.length).toBe(64);
    expect(guest.vsp.inspect().children?.at(-2)).toMatchObject({ value: '64', detail: '256 wait, 3 were lost' });
    for (let count = 0; count < 320; count++) expect(guest.take()).toBeDefined();
    expect(guest.take()).toBeUndefined();
  });

  test('frames and completions wait for room in the ring, in order', () => {
    const guest = new Netvsc();
    guest.start();
    guest.channel.room = 1;
    for (let count = 0; count < 3; count++) guest.port.card?.receive(toGuest(60 + count));
    const payload = nvspMessage(NvspVersion.V61, NvspMessage.SEND_RNDIS_PACKET, 0, NO_SECTION, 0);
    const transaction = guest.put(PacketType.DATA_GPA_DIRECT, payload, bufferOf(rndisPacket(frameOf(60))));
    expect(() => guest.completion(transaction)).toThrow();
    guest.channel.room = Infinity;
    guest.vsp.hasRoom(guest.channel);
    expect(numbers(guest.completion(transaction))[1]).toBe(1);
    expect([1, 2, 3].map(() => dataOf(guest.take())?.length)).toEqual([60, 61, 62]);
  });

  test('only what the packet filter names', () => {
    const [others, all, group] = [
      frameOf(60, 0x5254_0012_9999, OTHER),
      frameOf(60, 0xffff_ffff_ffff, OTHER),
      frameOf(60, 0x0100_5e00_0001, OTHER),
    ];
    const got = (filter: number) => {
      const guest = new Netvsc();
      guest.start(NvspVersion.V61, filter);
      for (const frame of [toGuest(), others, all, group]) guest.port.card?.receive(frame);
      return guest.channel.ring.length;
    };
    expect([0, 0x01, 0x08, 0x04, 0x0d, 0x20].map(got)).toEqual([0, 1, 1, 1, 3, 4]);
    const guest = new Netvsc();
    guest.start(NvspVersion.V61, 0x02);
    guest.port.card?.receive(group);
    expect(guest.channel.ring.length).toBe(0);
    expect(guest.set(Oid.ETHERNET_MULTICAST_LIST, Uint8Array.of(1, 0, 0x5e, 0, 0, 1))).toBe(0);
    guest.port.card?.receive(group);
    expect(guest.channel.ring.length).toBe(1);
  });

  test('a receive buffer that is no memory any more loses frames, and says so', () => {
    const guest = new Netvsc();
    guest.start();
    guest.receive.isGone = true;
    guest.port.card?.receive(toGuest());
    expect(guest.vsp.inspect().children?.at(-1)?.children).toEqual([
      { name: 'gave a receive buffer that is not there', value: '1 times' },
    ]);
  });

  test('the cable: the guest is told, and nothing comes or goes without it', () => {
    const guest = new Netvsc();
    guest.start();
    expect(guest.port.card?.listensForInput).toBe(true);
    guest.port.card?.setLink(false);
    expect(numbers(guest.take() ?? new Uint8Array(0))).toEqual([7, 20, 0x4001_000c, 0, 0]);
    guest.port.card?.receive(toGuest());
    guest.rndis(rndisPacket(frameOf(60)));
    expect([guest.take(), guest.port.frames.length, guest.port.card?.listensForInput]).toEqual([undefined, 0, false]);
    expect([...guest.query(Oid.GEN_MEDIA_CONNECT_STATUS).value]).toEqual([1, 0, 0, 0]);
    guest.port.card?.setLink(true);
    expect(numbers(guest.take() ?? new Uint8Array(0))[2]).toBe(0x4001_000b);
  });
});

describe('channels', () => {
  test('subchannels are offered as many as there are vCPUs, and the guest gets a table when all are open', () => {
    const guest = new Netvsc(new FakePort(), 4);
    guest.start();
    expect(guest.nvsp(NvspVersion.V61, NvspMessage.SUBCHANNEL, 1, 7).slice(0, 3)).toEqual([133, 1, 3]);
    expect(guest.channel.offered).toBe(3);
    for (let index = 1; index < 4; index++) guest.vsp.open(new FakeChannel(3 + index, index, guest.gpadls));
    const table = numbers(guest.channel.ring.at(-1)?.payload ?? new Uint8Array(0));
    expect([table[0], table[1], table[2]]).toEqual([134, 16, 40]);
    expect(table.slice(10)).toEqual(Array.from({ length: 16 }, (_, index) => index % 4));
  });

  test('frames are spread over channels by their flows', () => {
    const guest = new Netvsc(new FakePort(), 2);
    guest.start();
    guest.nvsp(NvspVersion.V61, NvspMessage.SUBCHANNEL, 1, 1);
    const second = new FakeChannel(9, 1, guest.gpadls);
    guest.vsp.open(second);
    guest.channel.ring = [];
    const parameters = concat(Uint8Array.of(0x89, 2, 28, 0), words(0, RssHash.TOEPLITZ | RssHash.TCP_IPV4 | RssHash.IPV4));
    const places = concat(words(8, 68, 40, 28), KEY, words(0, 1));
    expect(guest.set(Oid.GEN_RECEIVE_SCALE_PARAMETERS, concat(parameters, places))).toBe(0);
    const pair = { source: 0x0a00_0202, destination: 0x0a00_020f };
    for (let port = 0; port < 32; port++) {
      const fields = { sourcePort: 80, destinationPort: 4000 + port, sequence: 0, acknowledgment: 0, window: 0 };
      const payload = buildIpv4({
        ...pair,
        protocol: Protocol.TCP,
        payload: buildTcp({ ...fields, flags: TcpFlag.ACK, payload: new Uint8Array(0) }, pair),
      });
      guest.port.card?.receive(buildEthernet({ destination: MAC, source: OTHER, etherType: EtherType.IPV4, payload }));
    }
    expect(guest.channel.ring.length + second.ring.length).toBe(32);
    expect(Math.min(guest.channel.ring.length, second.ring.length)).toBeGreaterThan(5);
    guest.take(second);
    guest.vsp.close(second);
    guest.port.card?.receive(toGuest());
  });

  test('who opens the channel again begins anew', () => {
    const guest = new Netvsc();
    guest.start();
    guest.vsp.close(guest.channel);
    guest.port.card?.receive(toGuest());
    expect([guest.channel.ring.length, guest.vsp.inspect().value]).toEqual([0, 'waits for a driver']);
    guest.vsp.open(guest.channel);
    guest.start(NvspVersion.V2);
    expect(guest.vsp.inspect().value).toBe('open');
  });
});

// The key of Microsoft's verification suite for receive side scaling.
const KEY = Uint8Array.from(
  Buffer.from('6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa', 'hex'),
);

test('Toeplitz’s hash is that of the verification suite', () => {
  const ip = (text: string) => text.split('.').map(Number);
  const port = (value: number) => [value >> 8, value & 255];
  const addresses = [...ip('66.9.149.187'), ...ip('161.142.100.80')];
  expect(toeplitz(KEY, Uint8Array.from(addresses))).toBe(0x323e_8fc2);
  expect(toeplitz(KEY, Uint8Array.from([...addresses, ...port(2794), ...port(1766)]))).toBe(0x51cc_c178);
});

test.each([
  ['of another type', Uint8Array.of(0x88, 2, 28, 0)],
  ['too short', Uint8Array.of(0x89)],
])('parameters of receive side scaling that are %s are refused', (_, bytes) => {
  expect(setScaling(undefined, concat(bytes, new Uint8Array(bytes.length < 4 ? 0 : 24)), 4)).toBe('invalid');
});

test('what a hostile guest sends never throws, and is the same in stages and at once', () => {
  const seen = [true, false].map((inStages) => {
    const random = new Random(77);
    const guest = new Netvsc(new FakePort(), 4, inStages);
    guest.start();
    const log: unknown[] = [];
    const types = [...Object.values(NvspMessage), 0, 999];
    for (let round = 0; round < 6_000; round++) {
      const bytes = Uint8Array.from({ length: random.below(64) }, () =>
        random.below(3) === 0 ? random.below(256) : random.below(8),
      );
      const message = concat(words(1 + random.below(9), random.below(2) === 0 ? bytes.length + 8 : random.below(80)), bytes);
      const type = types[random.below(types.length)] ?? 0;
      const fields = [random.below(4), random.below(3) === 0 ? random.below(6) : NO_SECTION, random.below(100)];
      const payload =
        random.below(4) === 0
          ? bytes
          : nvspMessage(NvspVersion.V61, random.below(2) === 0 ? NvspMessage.SEND_RNDIS_PACKET : type, ...fields);
      guest.put(
        random.below(5) === 0 ? PacketType.COMPLETION : PacketType.DATA_GPA_DIRECT,
        payload,
        bufferOf(message),
        BigInt(random.below(80)),
      );
      if (random.below(8) === 0) guest.port.card?.receive(toGuest());
      log.push(guest.channel.ring.splice(0).map(({ type, payload }) => [type, ...payload]));
    }
    return [log, guest.vsp.inspect(), guest.port.frames.length];
  });
  expect(seen[0]).toEqual(seen[1]);
});
