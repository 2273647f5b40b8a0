import { expect, test } from 'vitest';
import { launchGuests } from '../../../src/debugger/launch-guest.ts';
import { type FileAccess, ProgramError } from '../../../src/programs/program.ts';

const FILES: Readonly<Record<string, Uint8Array>> = {
  'guest.asm': new TextEncoder().encode('bits 64\n_start: hlt\n'),
  'disk.img': new Uint8Array(512),
};
const files: FileAccess = {
  read: (path) => {
    const bytes = FILES[path];
    if (bytes === undefined) throw new ProgramError(`${path} can't be read: there is no such file or folder.`, path);
    return bytes;
  },
  exists: (path) => path in FILES,
  resolve: (_from, relative) => relative,
};
const launch = (more: object) => launchGuests({ program: 'guest.asm', memory: '16M', ...more }, files);
const root = { platform: 'hyperv', privileges: ['usual', 'create-partitions'] };
const ofVirtio = 'Channels, balloons, sockets and shared folders are those of virtio, which platform hyperv has not';
const ofNobody =
  'A partition of hyperv that may make others has its devices from nobody; leave disks, network, screen and assigned devices out';

test.each([
  [{ platform: 'hyperv', channels: ['agent'] }, ofVirtio],
  [{ platform: 'hyperv', balloon: true }, ofVirtio],
  [{ platform: 'hyperv', vsock: 3 }, ofVirtio],
  [{ platform: 'hyperv', net: 'switch' }, 'A switch is between the partitions of a session'],
  [{ platform: 'hyperv', ioeventfd: true }, "Doorbells of virtio end in KVM's kernel part, which platform hyperv has not"],
  [{ platform: 'bare', ioeventfd: true }, "Doorbells of virtio end in KVM's kernel part, which platform bare has not"],
  [{ platform: 'kvm', screen: true }, "A screen is one of Hyper-V's, which platform kvm has not"],
  [{ platform: 'kvm', assign: ['rng'] }, 'Devices are assigned to guests of Hyper-V, and platform kvm has no virtual PCI bus'],
  [
    { platform: 'hyperv', assign: Array.from({ length: 9 }, () => 'rng') },
    'A partition can have 8 assigned devices, each on a bus of its own; 9 were asked for.',
  ],
  [
    { platform: 'bare', disk: ['disk.img'] },
    'Disks are devices of a hypervisor, which platform bare has not; use platform kvm or hyperv',
  ],
  [
    { platform: 'bare', net: 'user' },
    'A network card is a device of a hypervisor, which platform bare has not; use platform kvm or hyperv',
  ],
  [{ ...root, disk: ['disk.img'] }, ofNobody],
  [{ ...root, net: 'user' }, ofNobody],
  [{ ...root, screen: true }, ofNobody],
  [{ ...root, assign: ['rng'] }, ofNobody],
])('%j is refused with a sentence', (attributes, sentence) => {
  expect(() => launch(attributes)).toThrow(sentence);
});

test('one of several guests that can not be is named', () => {
  const members = [
    { name: 'one', program: 'guest.asm', memory: '16M', platform: 'hyperv', net: 'switch' },
    { name: 'two', program: 'guest.asm', memory: '16M', platform: 'hyperv', net: 'switch', balloon: true },
  ];
  expect(() => launchGuests({ partitions: members }, files)).toThrow(`Partition "two" can't be made: ${ofVirtio}`);
});

test('the root has number 1 wherever it stands, and there is one', () => {
  const members = [{ name: 'one' }, { name: 'root', ...root }, { name: 'three' }].map((more) => {
    return { program: 'guest.asm', memory: '16M', platform: 'hyperv', ...more };
  });
  const { guests } = launchGuests({ partitions: members }, files);
  const numbers = guests.map(({ partition }) => {
    return partition.inspect().children?.find(({ name }) => name === 'platform')?.detail;
  });
  expect(numbers).toEqual(['partition 2', 'partition 1', 'partition 3']);
  const two = [...members, { ...members[1], name: 'another' }];
  expect(() => launchGuests({ partitions: two }, files)).toThrow(
    `Partition "another" can't be made: Partition 2 is Hyper-V's root, and there is only one`,
  );
});

test('what the root has not a child has: disks, a network and a screen together', () => {
  const { first } = launch({ platform: 'hyperv', disk: ['disk.img'], net: 'user', screen: true });
  const names = first.partition.inspect().children?.find(({ name }) => name === 'platform')?.children;
  expect(JSON.stringify(names, (_key, value) => (typeof value === 'bigint' ? String(value) : value))).toMatch(/netvsp/);
});
