import { expect, test } from 'vitest';
import { MmioBus } from '../../../src/devices/bus/mmio-bus.ts';
import type { DmaMemory } from '../../../src/devices/dma.ts';
import { AssignedFunction } from '../../../src/devices/pci/assigned.ts';
import type { MessageSignal } from '../../../src/devices/pci/message.ts';
import { Command, Config } from '../../../src/devices/pci/registers.ts';
import { makeAssigned } from '../../../src/devices/virtio/assignable.ts';
import { VirtioEntropy } from '../../../src/devices/virtio/entropy/device.ts';
import { VirtioPci } from '../../../src/devices/virtio/transport/pci.ts';
import { Common } from '../../../src/devices/virtio/transport/pci-registers.ts';

const NO_MEMORY: DmaMemory = { covers: () => false, read: (_gpa, length) => new Uint8Array(length), write() {} };
const TABLE = 0xf000_2000n;
const STATUS = BigInt(Common.STATUS);
const STRUCTURES = 0xf_e000_0000n;

/** A bus that knows nothing but one function, and what it sends. */
function machine() {
  const [assigned] = makeAssigned(['rng'], NO_MEMORY);
  if (!assigned) throw new Error('no function');
  const mmio = new MmioBus();
  mmio.attachMovable(assigned);
  const { configuration } = assigned.device;
  const place = () => {
    configuration.write(Config.BARS + 4, 4, Number(TABLE));
    configuration.write(Config.BARS + 16, 4, Number(STRUCTURES & 0xffff_ffffn));
    configuration.write(Config.BARS + 20, 4, Number(STRUCTURES >> 32n));
    configuration.write(Config.COMMAND, 2, Command.MEMORY | Command.MASTER);
  };
  return { assigned, mmio, configuration, place };
}

test('an assigned function has no pin, and is nowhere until its guest gives its BARs a place', () => {
  const { mmio, configuration, place } = machine();
  expect([configuration.read(Config.INTERRUPT_PIN, 1), configuration.decodesMemory]).toEqual([0, false]);
  expect(mmio.find(TABLE)).toBeUndefined();
  place();
  expect([mmio.find(TABLE)?.name, mmio.find(STRUCTURES)?.name]).toEqual([
    'virtio-rng-pci MSI-X table',
    'virtio-rng-pci common configuration',
  ]);
});

test('what its BARs read after ones were written is known without writing', () => {
  const { configuration } = machine();
  const probed = configuration.probedBars();
  for (let index = 0; index < 6; index++) configuration.write(Config.BARS + 4 * index, 4, 0xffff_ffff);
  expect(probed).toEqual([0, 0xffff_f000, 0, 0, 0xffff_c00c, 0xffff_ffff]);
  expect(probed).toEqual([0, 1, 2, 3, 4, 5].map((index) => configuration.read(Config.BARS + 4 * index, 4)));
});

test('its messages go to whoever takes them, and nowhere before', () => {
  let send: ((message: MessageSignal) => void) | undefined;
  const assigned = new AssignedFunction((to) => {
    send = to;
    return new VirtioPci(new VirtioEntropy(), { dma: NO_MEMORY, send: to });
  });
  const taken: MessageSignal[] = [];
  send?.({ address: 0xfee0_0010n, data: 1 });
  assigned.taker = { take: (message) => taken.push(message) };
  send?.({ address: 0xfee0_0010n, data: 2 });
  expect(taken).toEqual([{ address: 0xfee0_0010n, data: 2 }]);
});

test('a function level reset forgets what a driver did', () => {
  const { assigned, mmio, configuration, place } = machine();
  place();
  mmio.write(STRUCTURES + STATUS, 1, 3n);
  mmio.write(TABLE, 8, 0xfee0_0010n);
  expect([mmio.read(STRUCTURES + STATUS, 1), mmio.read(TABLE, 8)]).toEqual([3n, 0xfee0_0010n]);
  assigned.device.resetFunction();
  expect([configuration.decodesMemory, configuration.isBusMaster, mmio.find(TABLE)]).toEqual([false, false, undefined]);
  place();
  expect([mmio.read(STRUCTURES + STATUS, 1), mmio.read(TABLE, 8)]).toEqual([0n, 0n]);
});
