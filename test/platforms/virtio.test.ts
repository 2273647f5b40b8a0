import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DiskImage } from '../../src/devices/disk-image/disk-image.ts';
import { imageOfBytes } from '../../src/devices/disk-image/raw-image.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import { stateHash } from '../../src/hypervisor/partition/state-hash.ts';
import { ConfigurationError, type PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { guest, runToEnd } from './run-guest.ts';

const SAMPLE = readFileSync(path.resolve(import.meta.dirname, '../../samples/kvm/virtio-blk.asm'), 'utf8');
const TEXT = 'Hello from a sector\n';

function disk(sectors = 64): { readonly path: string; readonly image: DiskImage } {
  const bytes = new Uint8Array(sectors * 512);
  bytes.set(new TextEncoder().encode(TEXT));
  return { path: 'disk.img', image: imageOfBytes(bytes) };
}

const withDisk = (configuration: Partial<PartitionConfiguration> = {}): GuestPartition =>
  guest(SAMPLE, { memory: 16 << 20, disks: [disk()], ...configuration });

/** The part of the devices' tree with this name. */
function device(partition: GuestPartition, name: string) {
  return partition.devices.inspect().children?.find((node) => node.name === name);
}

describe.each(['intel', 'amd'] as const)('a guest with a disk, %s', (vendor) => {
  test('reads and writes it by virtio, with one exit a request', () => {
    const partition = withDisk({ vendor });
    const { text, records, end } = runToEnd(partition);
    expect([text, end.kind]).toEqual([TEXT, 'power-off']);
    expect(records.filter(({ request }) => request?.startsWith('write 0xfeb00050'))).toHaveLength(3);
    expect(device(partition, 'virtio-blk')?.children).toContainEqual(expect.objectContaining({ name: 'requests', value: '3' }));
  });

  test('is the same in both tiers, and again after a reset', () => {
    const partition = withDisk({ vendor });
    const { hash, instructions } = runToEnd(partition);
    partition.reset();
    expect(device(partition, 'virtio-blk')?.children).toContainEqual(
      expect.objectContaining({ name: 'overlay', value: '0 bytes' }),
    );
    expect(runToEnd(partition, 100)).toMatchObject({ hash, instructions });
    expect(runToEnd(withDisk({ vendor, translator: 0 }))).toMatchObject({ hash, instructions });
  });

  test('shows the device in the VMM process while a request is served, which ends as it does unseen', () => {
    const unseen = runToEnd(withDisk({ vendor }));
    const partition = withDisk({ vendor });
    partition.setDebugHooks({ stopAtExit: (_vcpu, exit) => exit.reason === 'mmio' && exit.gpa === 0xfeb0_0050n });
    while (partition.run({ instructions: 10_000 }).kind !== 'exit');
    const request = { instructions: 1, stopAtStage: true, stopAtEntry: true };
    const chains: string[] = [];
    while (partition.run(request).kind === 'stage')
      chains.push(partition.vcpus[0]?.activity?.frames.map(({ frame }) => `${frame.component}: ${frame.name}`).join(' | ') ?? '');
    const device = 'VMM process: KVM_EXIT_MMIO | VMM process: virtio-blk write';
    const notify = `${device} | VMM process: virtio-mmio QueueNotify`;
    for (const end of [
      device,
      notify,
      `${notify} | VMM process: virtio-blk request`,
      `${notify} | VMM process: virtio-mmio interrupt`,
    ])
      expect(chains.some((chain) => chain.endsWith(end))).toBe(true);
    partition.setDebugHooks(undefined);
    const { hash, text } = runToEnd(partition);
    expect([hash, text]).toEqual([unseen.hash, unseen.text]);
  });

  test('has its doorbells end in the kernel where they are ioeventfds, and a thread of the VMM find the work', () => {
    const partition = withDisk({ vendor, ioeventfd: true });
    partition.setDebugHooks({ stopAtExit: (_vcpu, exit) => exit.reason === 'mmio' && exit.gpa === 0xfeb0_0050n });
    while (partition.run({ instructions: 10_000 }).kind !== 'exit');
    const request = { instructions: 1, stopAtStage: true, stopAtEntry: true };
    const chains: string[] = [];
    while (partition.run(request).kind === 'stage')
      chains.push(partition.vcpus[0]?.activity?.frames.map(({ frame }) => `${frame.component}: ${frame.name}`).join(' | ') ?? '');
    expect(chains.some((chain) => chain.includes('VMM process: KVM_EXIT_MMIO'))).toBe(false);
    const signal = 'kvm.ko: ioeventfd_write | kvm.ko: eventfd_signal';
    const notify = `${signal} | VMM I/O thread: virtio-blk doorbell | VMM I/O thread: virtio-mmio QueueNotify`;
    for (const end of [signal, `${notify} | VMM I/O thread: virtio-blk request`])
      expect(chains.some((chain) => chain.endsWith(end))).toBe(true);
    partition.setDebugHooks(undefined);
    const { hash, text, records } = runToEnd(partition);
    const without = runToEnd(withDisk({ vendor }));
    expect([hash, text]).toEqual([without.hash, without.text]);
    const doorbells = records.filter(({ request }) => request.startsWith('write 0xfeb00050'));
    expect(doorbells.map(({ to, result }) => `${to}: ${result}`)).toEqual(new Array(2).fill('hypervisor: eventfd signalled'));
  });
});

test('two guests of one image have their own of what they write', () => {
  const shared = disk();
  const before = shared.image.read(0, shared.image.size);
  const first = withDisk({ disks: [shared] });
  const second = withDisk({ disks: [shared] });
  runToEnd(first);
  expect(Buffer.compare(shared.image.read(0, shared.image.size), before)).toBe(0);
  expect(runToEnd(second).text).toBe(TEXT);
});

test('what is on a disk is a part of the state hash, and nothing changes it where nothing was written', () => {
  const withoutDisks = ({ processors, memory }: GuestPartition) => stateHash(processors, memory);
  const partition = withDisk();
  expect(partition.stateHash()).toBe(withoutDisks(partition));
  runToEnd(partition);
  expect(partition.stateHash()).not.toBe(withoutDisks(partition));
});

test('a guest without disks has no virtio devices', () => {
  const partition = guest(SAMPLE);
  expect(runToEnd(partition).text).toBe('no virtio disk: give the guest one with --disk\n');
  expect(partition.devices.inspect().children?.filter(({ name }) => name.startsWith('virtio'))).toEqual([]);
});

test('six disks, entropy and console fill the slots, and save and restore', () => {
  const partition = withDisk({ disks: Array.from({ length: 6 }, () => disk()) });
  runToEnd(partition);
  const names = partition.devices.inspect().children?.map(({ name, value }) => `${name} ${value}`);
  expect(names?.slice(-8)).toEqual([
    'virtio-blk 0xfeb00000',
    'virtio-blk-1 0xfeb00200',
    'virtio-blk-2 0xfeb00400',
    'virtio-blk-3 0xfeb00600',
    'virtio-blk-4 0xfeb00800',
    'virtio-blk-5 0xfeb00a00',
    'virtio-rng 0xfeb00c00',
    'virtio-console 0xfeb00e00',
  ]);
  const saved = structuredClone(partition.devices.save());
  partition.devices.reset();
  partition.devices.restore(saved);
  expect(partition.devices.save()).toEqual(saved);
});

test.each<[Partial<PartitionConfiguration>, string]>([
  [{ disks: [{ path: 'odd.img', image: imageOfBytes(new Uint8Array(513)) }] }, 'The disk image odd.img has 513 bytes'],
  [{ disks: [{ path: 'empty.img', image: imageOfBytes(new Uint8Array(0)) }] }, 'The disk image empty.img has 0 bytes'],
  [{ vsockPorts: { forwards: [{ hostPort: 1, port: 2 }], guestForwards: [] } }, 'lead nowhere without virtio-vsock'],
  [
    {
      virtio: { vsock: 3 },
      vsockPorts: {
        forwards: [
          { hostPort: 8, port: 2 },
          { hostPort: 8, port: 3 },
        ],
        guestForwards: [],
      },
    },
    'The TCP port 8 of this machine is forwarded twice',
  ],
  [{ virtio: { vsock: 2 } }, 'A guest can have the context 3 to 4294967294 for its sockets; 2 was asked for.'],
  [{ virtio: { vsock: 3 }, disks: Array.from({ length: 6 }, () => disk()) }, 'has places for 8 virtio devices, but 9'],
  [{ virtio: { channels: ['a b'] } }, 'A channel can\'t have the name "a b"'],
  [{ virtio: { channels: ['a', 'a'] } }, 'Two channels have the name "a"'],
  [{ disks: Array.from({ length: 7 }, () => disk()) }, 'A partition can have 6 disks; 7 were asked for.'],
  [{ platform: 'bare' }, 'use platform kvm or hyperv, or leave them out'],
])('a configuration that can not be is refused', (configuration, message) => {
  expect(() => withDisk(configuration)).toThrow(ConfigurationError);
  expect(() => withDisk(configuration)).toThrow(message);
});
