import { expect, test } from 'vitest';
import type { Device } from '../../../src/devices/device.ts';
import { imageOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import { VirtioBlock } from '../../../src/devices/virtio/block/device.ts';
import { VirtioConsole } from '../../../src/devices/virtio/console/device.ts';
import { VirtioEntropy } from '../../../src/devices/virtio/entropy/device.ts';
import { VirtioPci } from '../../../src/devices/virtio/transport/pci.ts';
import { Random } from '../../support/random.ts';
import { FakeDma } from '../virtio/fake-dma.ts';
import { PciMachine } from './pci-machine.ts';

const SIZES = [1, 2, 4] as const;
const WIDE = [1, 2, 4, 8] as const;
const ADDRESSES = [0, 0xc000_0000, 0xc000_4000, 0xd000_0004, 0xe000_0000, 0xfee0_0000, 0xffff_f000, 0xffff_ffff];

function start() {
  const machine = new PciMachine();
  const dma = new FakeDma();
  const world = { dma, send: () => {}, offersPacked: true };
  const models = [
    new VirtioBlock({ image: imageOfBytes(new Uint8Array(64 * 512)), serial: 'fuzzed' }),
    new VirtioEntropy(),
    new VirtioConsole({ transmit: () => {} }),
  ];
  const functions = models.map((model) => new VirtioPci(model, world));
  for (const device of functions) machine.bus.add(device);
  const devices: readonly Device[] = [machine.bridge, ...functions];
  return { machine, dma, functions, devices };
}

/** One random thing that a guest can do to the bus. */
function step(random: Random, { machine, dma, functions }: ReturnType<typeof start>): void {
  const value = random.below(4) === 0 ? random.pick(ADDRESSES) : random.next() >>> 0;
  switch (random.below(6)) {
    case 0: {
      const size = random.pick(SIZES);
      machine.write(random.below(5), random.below(256) & -size, size, value >>> (32 - 8 * size));
      break;
    }
    case 1: {
      const read = machine.read(random.below(5), random.below(256), random.pick(SIZES));
      expect(Number.isInteger(read) && read >= 0 && read <= 0xffff_ffff).toBe(true);
      break;
    }
    case 2: {
      const size = random.pick(WIDE);
      const gpa = 0xe000_0000n + BigInt(random.below(0x2_0000));
      if (random.below(2) === 0) expect(machine.mmio.read(gpa, size) >> BigInt(8 * size)).toBe(0n);
      // The command register stays, mostly: else little would be reached.
      else if (random.below(4) === 0) machine.mmio.write(gpa, size, BigInt.asUintN(8 * size, BigInt(value)));
      break;
    }
    case 3:
      machine.write(1 + random.below(3), 4, 2, random.pick([6, 6, 6, 0x406, 2, 4]));
      break;
    default: {
      const device = random.pick(functions);
      const bar = random.pick(device.configuration.bars);
      const place = random.pick([0, 0, 0, 0x800, 0x1000, 0x2000, 0x3000]) + random.below(random.pick([0x40, 0x80, 0x1000]));
      const gpa = device.configuration.barAddress(bar) + BigInt(place % bar.size);
      const size = random.pick(WIDE);
      if (random.below(3) === 0) expect(machine.mmio.read(gpa, size) >> BigInt(8 * size)).toBe(0n);
      else machine.mmio.write(gpa, size, BigInt.asUintN(8 * size, BigInt(random.below(3) === 0 ? random.below(16) : value)));
      dma.ballooned = random.below(64) === 0 ? BigInt(random.below(0x100)) << 12n : undefined;
    }
  }
}

test('no sequence of accesses to a PCI bus makes anything throw or hang', () => {
  const random = new Random(1);
  const fuzzed = start();
  for (let index = 0; index < 100_000; index++) step(random, fuzzed);
  // It went far: a driver was seen by some device, and some BAR was moved.
  expect(fuzzed.machine.bus.inspect().children?.length).toBe(4);
  expect(
    fuzzed.functions.some((device) =>
      device.inspect().children?.some(({ name, value }) => name === 'status' && value !== '0x00'),
    ),
  ).toBe(true);
  const fresh = start();
  expect(fuzzed.functions.map((device) => device.configuration.save())).not.toEqual(
    fresh.functions.map((device) => device.configuration.save()),
  );
  for (const device of fuzzed.devices) device.reset();
  expect(fuzzed.functions.map((device) => device.configuration.save())).toEqual(
    fresh.functions.map((device) => device.configuration.save()),
  );
  expect(fuzzed.machine.lines.every(({ level }) => !level)).toBe(true);
});

test('a restored bus goes on as the saved one', () => {
  const first = start();
  const random = new Random(2);
  for (let index = 0; index < 5000; index++) step(random, first);
  const saved = structuredClone(first.devices.map((device) => device.save()));
  const second = start();
  second.dma.bytes.set(first.dma.bytes);
  second.dma.ballooned = first.dma.ballooned;
  second.devices.forEach((device, index) => {
    const state = saved[index];
    if (state) device.restore(state);
  });
  expect(second.devices.map((device) => device.save())).toEqual(saved);
  const [left, right] = [new Random(3), new Random(3)];
  for (let index = 0; index < 5000; index++) {
    step(left, first);
    step(right, second);
  }
  expect(second.devices.map((device) => device.save())).toEqual(first.devices.map((device) => device.save()));
});
