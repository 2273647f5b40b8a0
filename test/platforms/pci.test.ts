import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { imageOfBytes } from '../../src/devices/disk-image/raw-image.ts';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { guest, runToEnd } from './run-guest.ts';

const SAMPLE = readFileSync(path.resolve(import.meta.dirname, '../../samples/kvm/virtio-pci.asm'), 'utf8');

/** Finds the disk on the bus, and moves its BAR; then writes its status, and prints what it reads back: `B` and an acknowledged status. */
const SOURCE = `
bits 64
_start:
    mov edi, 0x80000800         ; 00:01.0
    mov eax, edi
    call read
    cmp eax, 0x10421af4
    jne wrong
    lea eax, [rdi + 4]
    mov ecx, 6                  ; memory, bus master
    call write
    lea eax, [rdi + 0x20]       ; BAR 4
    mov ecx, 0xd0000000
    call write
    mov ebx, 0xd0000000
    mov byte [rbx + 0x14], 1    ; ACKNOWLEDGE
    movzx eax, byte [rbx + 0x14]
    add eax, 'A'
    mov dx, 0x3f8
    out dx, al
    ; Over RAM, where the RAM stays.
    mov dword [0x200000], 0x1234
    lea eax, [rdi + 0x20]
    mov ecx, 0x200000
    call write
    cmp dword [0x200000], 0x1234
    jne wrong
    mov dx, 0x3f8
    mov al, 'R'
    out dx, al
wrong:
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    hlt
read:
    mov dx, 0xcf8
    out dx, eax
    mov dx, 0xcfc
    in eax, dx
    ret
write:
    mov dx, 0xcf8
    out dx, eax
    mov eax, ecx
    mov dx, 0xcfc
    out dx, eax
    ret
`;

const pc = (vendor: 'intel' | 'amd' = 'intel') =>
  guest(SOURCE, { vendor, machine: 'pc', disks: [{ path: 'disk.img', image: imageOfBytes(new Uint8Array(512)) }] });

describe.each(['intel', 'amd'] as const)('a pc, %s', (vendor) => {
  test('has its virtio devices on a PCI bus, whose BARs the guest moves', () => {
    const partition = pc(vendor);
    const first = runToEnd(partition);
    expect([first.text, first.end.kind]).toEqual(['BR', 'power-off']);
    partition.reset();
    expect(runToEnd(partition, 10)).toMatchObject({ hash: first.hash, instructions: first.instructions });
  });

  test('names the function and the structure in the frames of an exit', () => {
    const partition = pc(vendor);
    partition.setDebugHooks({ stopAtExit: (_vcpu, exit) => exit.reason === 'mmio' });
    while (partition.run({ instructions: 10_000 }).kind !== 'exit');
    const request = { instructions: 1, stopAtStage: true, stopAtEntry: true };
    const chains: string[] = [];
    while (partition.run(request).kind === 'stage')
      chains.push(partition.vcpus[0]?.activity?.frames.map(({ frame }) => `${frame.component}: ${frame.name}`).join(' | ') ?? '');
    expect(chains).toContainEqual(
      expect.stringMatching(/VMM process: KVM_EXIT_MMIO \| VMM process: virtio-blk-pci common configuration write$/),
    );
  });
});

describe.each(['intel', 'amd'] as const)('the sample with an entropy device on PCI, %s', (vendor) => {
  const start = (configuration: Partial<PartitionConfiguration> = {}) =>
    guest(SAMPLE, { vendor, machine: 'pc', ...configuration });

  test('gets its bytes and one message, alike in both tiers and after a reset', () => {
    const partition = start();
    const first = runToEnd(partition);
    expect(first.text).toMatch(/^[\da-f]{32}\n$/);
    expect(first.end.kind).toBe('power-off');
    partition.reset();
    expect(runToEnd(partition, 100)).toMatchObject({ hash: first.hash, instructions: first.instructions });
    expect(runToEnd(start({ translator: 0 }))).toMatchObject({ hash: first.hash, instructions: first.instructions });
  });

  test('is followed into the device and to its message', () => {
    const partition = start();
    // The function is in slot 1, and its structures in the second BAR.
    partition.setDebugHooks({ stopAtExit: (_vcpu, exit) => exit.reason === 'mmio' && exit.gpa === 0xc000_7000n });
    while (partition.run({ instructions: 10_000 }).kind !== 'exit');
    const request = { instructions: 1, stopAtStage: true, stopAtEntry: true };
    const chains: string[] = [];
    while (partition.run(request).kind === 'stage')
      chains.push(partition.vcpus[0]?.activity?.frames.map(({ frame }) => frame.name).join(' | ') ?? '');
    expect(chains).toContainEqual(
      expect.stringMatching(/KVM_EXIT_MMIO \| virtio-rng-pci notify write \| virtio-pci notify \| virtio-rng request$/),
    );
    expect(chains).toContainEqual(expect.stringMatching(/virtio-pci notify \| virtio-pci interrupt$/));
  });

  test('says what it lacks without a bus', () => {
    expect(runToEnd(start({ machine: undefined })).text).toContain('--machine pc');
  });
});

test('the devices are shown with the bus', () => {
  const names =
    pc()
      .devices.inspect()
      .children?.map(({ name }) => name) ?? [];
  expect(names.slice(-8)).toEqual([
    'pci',
    'pci-configuration',
    'pci-ecam',
    'host-bridge',
    'virtio-blk-pci',
    'virtio-rng-pci',
    'virtio-console-pci',
    'fw-cfg',
  ]);
  const bus = pc()
    .devices.inspect()
    .children?.find(({ name }) => name === 'pci');
  expect(bus?.children?.map(({ name, value }) => `${name} ${value}`)).toEqual([
    '00:00.0 host-bridge',
    '00:01.0 virtio-blk-pci',
    '00:02.0 virtio-rng-pci',
    '00:03.0 virtio-console-pci',
  ]);
});

test('a pc has room for more devices than a microvm, and says when it has no more', () => {
  const disks = (count: number) =>
    Array.from({ length: count }, () => ({ path: 'disk.img', image: imageOfBytes(new Uint8Array(512)) }));
  const partition = guest(SOURCE, { machine: 'pc', disks: disks(29) });
  expect(partition.devices.pciBus?.functions).toHaveLength(32);
  expect(() => guest(SOURCE, { machine: 'pc', disks: disks(30) })).toThrow('A pc has places for 31 virtio devices, but 32 were');
});

test('a saved pc goes on with its BARs where they were', () => {
  const first = pc();
  runToEnd(first);
  const saved = structuredClone(first.devices.save());
  const second = pc();
  second.devices.restore(saved);
  expect(second.devices.save()).toEqual(saved);
  expect(second.devices.mmioOwner(0, 0x20_0014n)).toBe('virtio-blk-pci common configuration');
});
