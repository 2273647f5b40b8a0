import { expect, test } from 'vitest';
import { buildEthernet, EtherType } from '../../src/network/packets/ethernet.ts';
import { VirtualSwitch } from '../../src/network/switch/virtual-switch.ts';

const LATENCY = 100_000n;
const ALL = 0xffff_ffff_ffff;
const frame = (source: number, destination: number) =>
  buildEthernet({ source, destination, etherType: EtherType.IPV6, payload: new Uint8Array(46) });

/** A switch with so many clients, each with a station of its number; `got` has what arrived: receiver, sender and time. */
function plugged(count: number) {
  const bridge = new VirtualSwitch(LATENCY);
  const got: [to: number, from: number | undefined, at: bigint][] = [];
  let now = 0n;
  const clients = Array.from({ length: count }, (_, index) => ({
    name: `partition ${index + 1}`,
    hostTime: () => now,
    arrive: (bytes: Uint8Array, at: bigint) => got.push([index + 1, bytes[11], at]),
  }));
  const senders = clients.map((client) => bridge.plug(client));
  const send = (from: number, to: number, source = from) => {
    got.length = 0;
    senders[from - 1]?.(frame(source, to));
    return [...got];
  };
  return { bridge, clients, send, passTime: (ticks: bigint) => (now += ticks) };
}

test('a frame goes to all others until its station was heard, then only there, after the latency', () => {
  const { send, passTime, bridge } = plugged(3);
  passTime(7n);
  expect(send(1, 2)).toEqual([
    [2, 1, 100_007n],
    [3, 1, 100_007n],
  ]);
  expect(send(2, 1)).toEqual([[1, 2, 100_007n]]);
  expect(send(1, 2)).toEqual([[2, 1, 100_007n]]);
  expect(bridge.inspect().children?.map(({ name, value }) => `${name} ${value}`)).toEqual([
    '00:00:00:00:00:02 partition 2',
    '00:00:00:00:00:01 partition 1',
  ]);
});

test('frames for groups go to all, and groups are not learnt', () => {
  const { send } = plugged(3);
  send(2, 1);
  expect(send(1, ALL).length).toBe(2);
  expect(send(3, 0x0100_5e00_0001).length).toBe(2);
  send(3, 1, ALL);
  expect(send(1, ALL).length).toBe(2);
});

test('a station that moves is found at its new place, one that is silent for long nowhere', () => {
  const { send, passTime } = plugged(3);
  send(1, ALL);
  send(3, ALL, 1);
  expect(send(2, 1)).toEqual([[3, 2, LATENCY]]);
  passTime(300_000_000_001n);
  expect(send(2, 1).length).toBe(2);
});

test('a frame for a station at the port that it comes from goes nowhere', () => {
  const { send } = plugged(2);
  send(1, ALL, 9);
  expect(send(1, 9)).toEqual([]);
});

test('a client that was unplugged is forgotten', () => {
  const { bridge, clients, send } = plugged(3);
  send(2, ALL);
  const [, second] = clients;
  if (second) bridge.unplug(second);
  expect(send(1, 2)).toEqual([[3, 1, LATENCY]]);
  expect(send(2, 1)).toEqual([]);
});

test('it remembers only so many stations', () => {
  const { bridge, send } = plugged(2);
  for (let station = 1; station <= 1100; station++) send(1, ALL, station * 0x100);
  expect(bridge.inspect().children?.length).toBe(1024);
});
