import { expect, test } from 'vitest';
import type { GuestGroup } from '../../src/debugger/guest-group.ts';
import { launchGuests } from '../../src/debugger/launch-guest.ts';
import type { NetworkWorld } from '../../src/debugger/session-networks.ts';
import { NOWHERE, type OutsideWorld } from '../../src/network/outside.ts';
import type { FileAccess } from '../../src/programs/program.ts';
import { SAMPLE, SENDER, SLEEPING_RECEIVER } from '../platforms/network-guests.ts';

const FILES: Readonly<Record<string, string>> = { 'ask.asm': SAMPLE, 'send.asm': SENDER, 'receive.asm': SLEEPING_RECEIVER };
const files: FileAccess = {
  read: (path) => new TextEncoder().encode(FILES[path] ?? 'bits 64\n_start: hlt\n'),
  exists: (path) => path in FILES,
  resolve: (_from, relative) => relative,
};
const launch = (attributes: object, world?: NetworkWorld): GuestGroup =>
  launchGuests({ program: 'ask.asm', memory: '16M', ...attributes }, files, undefined, undefined, world);

test('the attributes give the machine its card, and the way outside its ports', () => {
  const worlds: OutsideWorld[] = [];
  const captures: string[] = [];
  const attributes = {
    forward: ['tcp:2222:22'],
    guestForward: ['tcp:80:8000'],
    hosts: ['server.test'],
    mac: '52:54:00:00:00:07',
    pcap: 'a.pcap',
  };
  const { first } = launch(attributes, {
    openOutside: (world) => {
      worlds.push(world);
      return { ...NOWHERE, end() {} };
    },
    openCapture: (path) => {
      captures.push(path);
      return { write() {}, close() {} };
    },
  });
  const network = first.partition.devices.network?.inspect().children?.find(({ name }) => name === 'user network')?.children;
  const shown = network?.flatMap(({ children = [] }) => children.map(({ name, value }) => [name, value].join(' ').trim()));
  expect(shown).toEqual(['tcp 127.0.0.1:2222 10.0.2.15:22', 'tcp 10.0.2.2:80 127.0.0.1:8000', 'server.test = 10.0.2.2']);
  expect([worlds.map(({ forwards }) => forwards.map(({ hostPort }) => hostPort)), captures]).toEqual([[[2222]], ['a.pcap']]);
});

test.each([
  [{ net: 'tap' }, '"net" can\'t be "tap"; it is one of none, user, switch, switch+user.'],
  [{ mac: '52:54:00' }, '"mac" must be the address of one station, such as "52:54:00:12:34:56", not "52:54:00".'],
  [{ forward: 'tcp:1:1' }, '"forward" must be a list such as ["tcp:2222:22"], not "tcp:1:1".'],
  [{ guestForward: ['80'] }, '"guestForward" must be like tcp:80:8000'],
  [{ hosts: ['a b'] }, '"hosts" must be like server.test or server.test=10.0.2.2, not "a b"'],
  [{ net: 'none', hosts: ['a'] }, 'Forwards, names and served files belong to a user network, but the network is none'],
  [{ net: 'switch' }, 'A switch is between the partitions of a session, and this one is alone'],
  [{ pcap: 'a' }, '"pcap" has nothing to write without a network card'],
  [{ pcap: 'a', net: 'user' }, 'This debug adapter has no files to write: leave "pcap" out.'],
  [
    {
      partitions: [
        { name: 'a', net: 'switch+user' },
        { name: 'b', net: 'switch+user' },
      ],
    },
    '"a" and "b" both bring a user network',
  ],
  [{ partitions: [{}, {}], net: 'user', mac: '52:54:00:00:00:07' }, 'Two partitions have the same "mac"'],
  [{ partitions: [{}, {}], net: 'user', pcap: 'a' }, 'Two partitions have the same "pcap"'],
])('%j is refused', (attributes, message) => {
  expect(() => launch(attributes)).toThrow(message);
});

test('a launch that fails ends what it had begun outside', () => {
  let ended = 0;
  const world: NetworkWorld = { openOutside: () => ({ ...NOWHERE, end: () => ended++ }) };
  const partitions = [{ forward: ['tcp:1:1'] }, { forward: ['tcp:2:1'] }, { platform: 'bare', net: 'user' }];
  expect(() => launch({ partitions }, world)).toThrow('platform bare has not');
  expect(ended).toBe(2);
});

test('a guest that waits at the switch is woken, whoever else has something to do', () => {
  const group = launch({ net: 'switch', partitions: [{ program: 'receive.asm' }, { program: 'send.asm' }] });
  group.start();
  const ends: string[] = [];
  for (let slices = 0; slices < 10_000 && group.hasWork; slices++) {
    const happened = group.slice();
    if (happened?.event.kind === 'ended') ends.push(`${happened.guest.configuration.name} ${happened.event.end.kind}`);
  }
  expect(ends).toEqual(['receive.asm power-off']);
});
