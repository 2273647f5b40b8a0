import { describe, expect, test } from 'vitest';
import { encodeEvent, NOWHERE, type OutsideEvent, type OutsideWorld, openMovable } from '../../src/network/outside.ts';
import { buildArp, parseArp } from '../../src/network/packets/arp.ts';
import { buildEthernet, EtherType, parseEthernet } from '../../src/network/packets/ethernet.ts';
import { type NetworkParts, PartitionNetwork, type PartitionNetworkState } from '../../src/network/partition-network.ts';
import { pcapHeader, pcapRecord } from '../../src/network/pcap.ts';
import { VirtualSwitch } from '../../src/network/switch/virtual-switch.ts';
import { parseForward } from '../../src/network/user/options.ts';
import { GATEWAY, GATEWAY_MAC } from '../../src/network/user/subnet.ts';
import { FakeClock } from '../devices/fake-clock.ts';

const ALL = 0xffff_ffff_ffff;
const user = { forwards: [], guestForwards: [], hosts: new Map<string, number>() };
const hexText = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** A question of a station where the gateway is. */
const question = (mac: number, senderIp: number) => {
  const packet = { operation: 1, senderMac: mac, senderIp, targetMac: 0, targetIp: GATEWAY };
  return buildEthernet({ destination: ALL, source: mac, etherType: EtherType.ARP, payload: buildArp(packet) });
};

/** A card on a network, which keeps what it gets with its time. */
function cardOn(parts: NetworkParts, clock = new FakeClock()) {
  const network = new PartitionNetwork(clock, parts, 'partition');
  const got: [at: bigint, from: number | undefined, operation: number | undefined][] = [];
  const receive = (bytes: Uint8Array) => {
    const frame = parseEthernet(bytes);
    got.push([clock.now(), frame?.source, frame && parseArp(frame.payload)?.operation]);
  };
  network.connect({ receive, setLink() {}, listensForInput: true });
  return { network, clock, got };
}

/** Partitions whose time is that of their clocks. */
function timeOf(clock: FakeClock) {
  const woken = { times: 0 };
  return { woken, hostTime: () => clock.now(), localTime: (time: bigint) => time, wake: () => woken.times++ };
}

test('the user network answers after 10 µs there and 10 back', () => {
  const { network, clock, got } = cardOn({ user });
  clock.advance(5n);
  network.transmit(question(1, GATEWAY + 20));
  clock.advance(19_999n);
  expect(got).toEqual([]);
  clock.advance(1n);
  expect(got).toEqual([[20_005n, GATEWAY_MAC, 2]]);
});

test('frames that are no frames are lost', () => {
  const { network, clock, got } = cardOn({ user });
  network.transmit(new Uint8Array(13));
  network.transmit(new Uint8Array(1519));
  clock.advance(1_000_000n);
  expect([network.save().toUser, got]).toEqual([[], []]);
});

test('a user network at a switch serves the others there, too', () => {
  const bridge = new VirtualSwitch(100_000n);
  const clock = new FakeClock();
  const time = timeOf(clock);
  const first = cardOn({ user, switch: { to: bridge, time } }, clock);
  const second = cardOn({ switch: { to: bridge, time } }, clock);
  second.network.transmit(question(2, GATEWAY + 21));
  clock.advance(1_000_000n);
  // One network: a card hears what isn't for it, too, and drops it.
  expect(first.got).toEqual([
    [100_000n, 2, 1],
    [110_000n, GATEWAY_MAC, 2],
  ]);
  expect(second.got).toEqual([[200_000n, GATEWAY_MAC, 2]]);
  expect(time.woken.times).toBe(2);
  expect([first.network.isOpen, second.network.isOpen, cardOn({ user }).network.isOpen]).toEqual([true, true, false]);
  second.network.disconnect();
  first.network.transmit(question(1, GATEWAY + 20));
  clock.advance(1_000_000n);
  expect(second.got.length).toBe(1);
});

describe('the user network of a partition that has ended', () => {
  /** Three at a switch, of which the first one brings a user network with a forward; `told`: who was told of what happened outside. */
  function three() {
    const bridge = new VirtualSwitch(100_000n);
    const clocks = [new FakeClock(), new FakeClock(), new FakeClock()];
    const told: string[] = [];
    const way: { happened: OutsideWorld['happened']; ended: number } = { happened() {}, ended: 0 };
    const options = { ...user, forwards: [parseForward('udp:9000:7')] };
    const doorOf = (index: number) => (event: OutsideEvent) => {
      told.push(`${index} ${event.kind}`);
      cards[index]?.network.happened(encodeEvent(event));
    };
    const open = ({ happened }: OutsideWorld) => {
      way.happened = happened;
      return { ...NOWHERE, end: () => way.ended++ };
    };
    const cards = clocks.map((clock, index) => {
      const parts = { switch: { to: bridge, time: timeOf(clock) }, door: doorOf(index) };
      if (index > 0) return cardOn(parts, clock);
      const outside = openMovable(open, { forwards: options.forwards, happened: doorOf(0) });
      return cardOn({ ...parts, user: options, outside }, clock);
    });
    const pass = (ticks: bigint) => {
      for (const clock of clocks) clock.advance(ticks);
    };
    return { cards, told, way, pass };
  }

  test('goes on with the next one at the switch, with what it knows, and then with the one after', () => {
    const { cards, pass } = three();
    const [first, second, third] = cards;
    third?.network.transmit(question(3, GATEWAY + 22));
    pass(1_000_000n);
    const known = first?.network.save().user;
    expect(known?.neighbours).toEqual([[GATEWAY + 22, 3]]);
    first?.network.guestEnded();
    expect(cards.map(({ network }) => network.save().user)).toEqual([undefined, undefined, undefined]);
    pass(1_000_000n);
    expect(cards.map(({ network }) => network.save().user)).toEqual([undefined, known, undefined]);
    expect(second?.network.save().userAhead).toBe(-100_000n);
    third?.got.splice(0);
    third?.network.transmit(question(3, GATEWAY + 22));
    pass(1_000_000n);
    expect(third?.got.map(([, from, operation]) => [from, operation])).toEqual([[GATEWAY_MAC, 2]]);
    second?.network.disconnect();
    pass(1_000_000n);
    third?.got.splice(0);
    third?.network.transmit(question(3, GATEWAY + 22));
    pass(1_000_000n);
    expect(third?.got.map(([, from, operation]) => [from, operation])).toEqual([[GATEWAY_MAC, 2]]);
  });

  test('hears of what happens outside by the door of who has it, also while it is on its way, and ends with the last one', () => {
    const { cards, told, way, pass } = three();
    const [first, second, third] = cards;
    way.happened({ kind: 'accepted', flow: 1, forward: 0 });
    first?.network.guestEnded();
    way.happened({ kind: 'data', flow: 1, bytes: Uint8Array.of(1) });
    expect(told).toEqual(['0 accepted', '1 data']);
    pass(1_000_000n);
    // It asks for the guest's address, to give it the bytes.
    expect(second?.got.map(([, from, operation]) => [from, operation])).toEqual([[GATEWAY_MAC, 1]]);
    first?.network.disconnect();
    second?.network.disconnect();
    expect(way.ended).toBe(0);
    third?.network.disconnect();
    expect(way.ended).toBe(1);
  });

  test('stays where nobody else is', () => {
    const alone = cardOn({ user });
    alone.network.guestEnded();
    expect(alone.network.save().user).toBeDefined();
    alone.network.reset();
    expect(alone.network.save()).toEqual(cardOn({ user }).network.save());
  });
});

test('a network with a forward is open from the start, and its events come as bytes', () => {
  const { network, clock, got } = cardOn({ user: { ...user, forwards: [parseForward('tcp:8080:80')] } });
  expect(network.isOpen).toBe(true);
  network.happened(encodeEvent({ kind: 'accepted', flow: 1, forward: 0 }));
  network.happened(new Uint8Array(3));
  clock.advance(10_000n);
  expect(got).toEqual([[10_000n, GATEWAY_MAC, 1]]);
});

test('frames on their way are a part of the state', () => {
  const bridge = new VirtualSwitch(100_000n);
  const clock = new FakeClock();
  const first = cardOn({ user, switch: { to: bridge, time: timeOf(clock) } }, clock);
  const other = cardOn({ switch: { to: bridge, time: timeOf(clock) } }, clock);
  first.network.transmit(question(1, GATEWAY + 20));
  other.network.transmit(question(2, GATEWAY + 21));
  clock.advance(15_000n);
  const state: PartitionNetworkState = structuredClone(first.network.save());
  expect([state.toUser.length, state.toCard.length, state.fromSwitch.length]).toEqual([0, 1, 1]);
  const again = cardOn({ user, switch: { to: new VirtualSwitch(1n), time: timeOf(clock) } });
  again.clock.advance(15_000n);
  again.network.restore(state);
  again.clock.advance(1_000_000n);
  clock.advance(1_000_000n);
  expect(again.got).toEqual(first.got);
  expect(again.got.length).toBe(3);
  again.network.reset();
  expect(again.network.save()).toEqual(cardOn({ user, switch: { to: bridge, time: timeOf(clock) } }).network.save());
});

describe('a capture', () => {
  test('has all frames of the card, with their times', () => {
    const seen: [bigint, number][] = [];
    let closed = 0;
    const { network, clock } = cardOn({
      user,
      capture: { write: (ticks, frame) => seen.push([ticks, frame.length]), close: () => closed++ },
    });
    network.transmit(question(1, GATEWAY + 20));
    clock.advance(1_000_000n);
    expect(seen).toEqual([
      [0n, 60],
      [20_000n, 60],
    ]);
    network.disconnect();
    network.disconnect();
    network.transmit(question(1, GATEWAY + 20));
    expect([closed, seen.length]).toEqual([1, 2]);
  });

  test('is a file that tools know', () => {
    expect(hexText(pcapHeader())).toBe('4d3cb2a10200040000000000000000000000040001000000');
    expect(hexText(pcapRecord(0x1000n, 2_000_000_003n, Uint8Array.of(1, 2)))).toBe('021000000300000002000000020000000102');
  });
});
