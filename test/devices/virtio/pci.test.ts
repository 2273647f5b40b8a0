import { describe, expect, test } from 'vitest';
import { imageOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import { Feature, featureBit, Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioBlock } from '../../../src/devices/virtio/block/device.ts';
import { VirtioConsole } from '../../../src/devices/virtio/console/device.ts';
import { VirtioEntropy } from '../../../src/devices/virtio/entropy/device.ts';
import type { DriverSide, VirtioModel } from '../../../src/devices/virtio/model.ts';
import { VirtioPci } from '../../../src/devices/virtio/transport/pci.ts';
import { Common as C, Field, Structure } from '../../../src/devices/virtio/transport/pci-registers.ts';
import { FakeDma } from './fake-dma.ts';
import { PACKED, SPLIT } from './mmio-driver.ts';
import { PciDriver } from './pci-driver.ts';

const NONE = new Uint8Array(0);
const block = () => new VirtioBlock({ image: imageOfBytes(new Uint8Array(0x300 * 512)), serial: 'x' });
const entropy = () => new PciDriver(new VirtioEntropy());
const console = () => new PciDriver(new VirtioConsole({ transmit: () => {} }));

/** An entropy device whose model lets a test reach the driver's side. */
function changing() {
  let side: DriverSide | undefined;
  const model: VirtioModel = new VirtioEntropy();
  const connect = model.connect.bind(model);
  model.connect = (driver) => {
    side = driver;
    connect(driver);
  };
  const driver = new PciDriver(model);
  return { driver, change: () => side?.configurationChanged() };
}

describe('the configuration space', () => {
  test.each([
    ['block', new PciDriver(block()), 0x1042, 0x0100],
    ['entropy', entropy(), 0x1044, 0x00ff],
    ['console', console(), 0x1043, 0x0780],
  ])('says what a %s device is', (_name, driver, id, classCode) => {
    expect([driver.pci(0, 2), driver.pci(2, 2), driver.pci(8, 1), driver.pci(0xa, 2)]).toEqual([0x1af4, id, 1, classCode]);
    expect([driver.pci(0x2c, 4), driver.pci(0x3d, 1)]).toEqual([0x1100_1af4, 1]);
  });

  test('has BARs for interrupts and for the structures', () => {
    const driver = entropy();
    for (const offset of [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24]) driver.pci(offset, 4, 0xffff_ffff);
    const sizes = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map((offset) => driver.pci(offset, 4));
    expect(sizes).toEqual([0, 0xffff_f000, 0, 0, 0xffff_c00c, 0xffff_ffff]);
  });

  test('tells of one structure of each type', () => {
    const driver = console();
    const fields = [...driver.capabilities].map(([type, at]) => [
      type,
      driver.pci(at + Field.BAR, 1),
      driver.pci(at + Field.OFFSET, 4),
      driver.pci(at + Field.SIZE, 4),
    ]);
    expect(fields).toEqual([
      [Structure.COMMON, 4, 0x0000, 0x3c],
      [Structure.ISR, 4, 0x1000, 1],
      [Structure.DEVICE, 4, 0x2000, 0x1000],
      [Structure.NOTIFY, 4, 0x3000, 0x1000],
      [Structure.WINDOW, 0, 0, 0],
    ]);
    // Interrupts for the configuration and two queues.
    expect(driver.pci(0x40, 4)).toBe(0x0002_4c11);
  });
});

describe('the common configuration', () => {
  test('offers the features in words, and tells what was chosen', () => {
    const driver = entropy();
    const words = [0, 1, 2, 0xffff_ffff].map((word) => {
      driver.write(C.DEVICE_FEATURES_SELECT, 4, word);
      return driver.read(C.DEVICE_FEATURES, 4);
    });
    expect(words).toEqual([0x3000_0000n, 0x14dn, 0n, 0n]);
    driver.choose(1, 0x5);
    expect([driver.read(C.DRIVER_FEATURES_SELECT, 4), driver.read(C.DRIVER_FEATURES, 4)]).toEqual([1n, 5n]);
  });

  test('knows its queues', () => {
    const driver = console();
    expect(driver.read(C.QUEUES, 2)).toBe(2n);
    const rows = [0, 1, 2, 0xffff].map((queue) => {
      driver.write(C.QUEUE_SELECT, 2, queue);
      return [C.QUEUE_SELECT, C.QUEUE_SIZE, C.QUEUE_VECTOR, C.QUEUE_ENABLE, C.QUEUE_NOTIFY_OFFSET].map((register) =>
        Number(driver.read(register, 2)),
      );
    });
    expect(rows).toEqual([
      [0, 64, 0xffff, 0, 0],
      [1, 64, 0xffff, 0, 1],
      [2, 0, 0xffff, 0, 0],
      [0xffff, 0, 0xffff, 0, 0],
    ]);
  });

  test('keeps what is said of a queue until it is enabled, and stops it at a reset only', () => {
    const driver = console();
    driver.negotiate(SPLIT);
    driver.write(C.QUEUE_SELECT, 2, 1);
    driver.write(C.QUEUE_SIZE, 2, 16);
    driver.write(C.QUEUE_DESCRIPTOR, 8, 0x1_2345_6000n);
    driver.write(C.QUEUE_DESCRIPTOR + 4, 4, 0);
    expect([driver.read(C.QUEUE_SIZE, 2), driver.read(C.QUEUE_DESCRIPTOR, 8)]).toEqual([16n, 0x2345_6000n]);
    driver.setUp(1, { size: 8, descriptorArea: 0x1000n, driverArea: 0x3000n, deviceArea: 0x4000n });
    driver.write(C.QUEUE_DRIVER, 8, 0x9000);
    driver.write(C.QUEUE_ENABLE, 2, 0);
    expect([driver.read(C.QUEUE_ENABLE, 2), driver.read(C.QUEUE_DRIVER, 8)]).toEqual([1n, 0x3000n]);
    driver.status = 0;
    expect([driver.read(C.QUEUE_SELECT, 2), driver.read(C.QUEUE_ENABLE, 2), driver.read(C.STATUS, 1)]).toEqual([0n, 0n, 0n]);
  });

  test('is reached in the size of each register only', () => {
    const driver = entropy();
    driver.write(C.STATUS, 4, 1);
    driver.write(C.STATUS, 2, 1);
    driver.write(C.QUEUE_SELECT + 1, 1, 1);
    expect([driver.status, driver.read(C.QUEUE_SELECT, 2), driver.read(C.QUEUES, 1), driver.read(C.QUEUES, 4)]).toEqual([
      0,
      0n,
      0n,
      0n,
    ]);
    expect([driver.read(0x800, 4), driver.read(C.LENGTH, 8)]).toEqual([0n, 0n]);
  });

  test('refuses features as every transport does', () => {
    expect(
      [SPLIT, PACKED, featureBit(Feature.INDIRECT_DESC), SPLIT | featureBit(33)].map((bits) => entropy().negotiate(bits)),
    ).toEqual([true, true, false, false]);
  });

  test('resets one queue, with its vector', () => {
    const driver = entropy().start(SPLIT | featureBit(Feature.RING_RESET));
    driver.useMessages();
    driver.write(C.QUEUE_SELECT, 2, 0);
    driver.write(C.QUEUE_RESET, 2, 1);
    expect([C.QUEUE_RESET, C.QUEUE_ENABLE, C.QUEUE_VECTOR].map((register) => driver.read(register, 2))).toEqual([
      0n,
      0n,
      0xffffn,
    ]);
    expect(driver.status & Status.DRIVER_OK).toBe(Status.DRIVER_OK);
    const other = entropy().start();
    other.write(C.QUEUE_RESET, 2, 1);
    expect(other.read(C.QUEUE_ENABLE, 2)).toBe(1n);
  });
});

test('a notification means the queue of its place, whatever is written', () => {
  const driver = entropy().start(SPLIT | featureBit(Feature.NOTIFICATION_DATA));
  driver.ring().offer([{ gpa: 0x5_0000, length: 8, writable: true }]);
  driver.write(0, 4, 0x0001_0000, Structure.NOTIFY);
  expect(driver.ring().collect()).toMatchObject([{ written: 8 }]);
});

describe('the device configuration', () => {
  test('is read in any size', () => {
    const driver = new PciDriver(block());
    expect([driver.config(0, 8), driver.config(1, 1), driver.config(0, 2), driver.config(0xff8, 8)]).toEqual([
      0x300n,
      3n,
      0x300n,
      0n,
    ]);
  });

  test('changes with a new generation', () => {
    const { driver, change } = changing();
    driver.start();
    change();
    expect([driver.read(C.GENERATION, 1), driver.line.level, driver.read(0, 1, Structure.ISR)]).toEqual([1n, true, 2n]);
  });
});

describe('interrupts by the pin', () => {
  test('last until the status is read', () => {
    const driver = entropy().start();
    expect(driver.request(NONE, 16).used?.written).toBe(16);
    expect([driver.line.level, driver.pci(6, 2) & 8]).toEqual([true, 8]);
    expect([driver.read(0, 1, Structure.ISR), driver.read(0, 1, Structure.ISR)]).toEqual([1n, 0n]);
    expect([driver.line.level, driver.pci(6, 2) & 8]).toEqual([false, 0]);
  });

  test('end when the driver resets the device', () => {
    const driver = entropy().start();
    driver.request(NONE, 16);
    driver.status = 0;
    expect([driver.line.level, driver.read(0, 1, Structure.ISR)]).toEqual([false, 0n]);
  });

  test('can be switched off', () => {
    const driver = entropy().start();
    driver.pci(4, 2, 0x406);
    driver.request(NONE, 16);
    expect(driver.line.level).toBe(false);
    driver.pci(4, 2, 6);
    expect(driver.line.level).toBe(true);
  });
});

describe('interrupts by messages', () => {
  test('have an entry for each queue and one for the configuration, and leave the pin', () => {
    const { driver, change } = changing();
    driver.useMessages().start();
    driver.useMessages();
    driver.request(NONE, 16);
    expect(driver.messages).toEqual([0x41]);
    change();
    expect([driver.messages, driver.line.level]).toEqual([[0x41, 0x40], false]);
    // The status tells of the configuration, but not of queues.
    expect(driver.read(0, 1, Structure.ISR)).toBe(2n);
  });

  test('are not sent without a vector', () => {
    const driver = entropy().start();
    driver.useMessages();
    driver.write(C.QUEUE_SELECT, 2, 0);
    driver.write(C.QUEUE_VECTOR, 2, 0xffff);
    driver.request(NONE, 16);
    expect([driver.messages, driver.line.level]).toEqual([[], false]);
  });

  test('have no vector beyond the table', () => {
    const driver = entropy();
    for (const register of [C.CONFIGURATION_VECTOR, C.QUEUE_VECTOR]) {
      driver.write(register, 2, 1);
      expect(driver.read(register, 2)).toBe(1n);
      driver.write(register, 2, 2);
      expect(driver.read(register, 2)).toBe(0xffffn);
    }
  });

  test('of a driver that is gone are forgotten', () => {
    const driver = entropy().start();
    driver.useMessages();
    driver.pci(0x42, 2, 0xc000);
    driver.request(NONE, 16);
    driver.status = 0;
    driver.pci(0x42, 2, 0x8000);
    expect(driver.messages).toEqual([]);
  });
});

describe('without bus mastering', () => {
  test('no memory is reached: the device needs a reset, and says why', () => {
    const driver = entropy().start();
    driver.pci(4, 2, 2);
    driver.ring().offer([{ gpa: 0x5_0000, length: 8, writable: true }]);
    const before = driver.dma.accesses;
    driver.notify();
    expect([driver.dma.accesses - before, driver.status & Status.NEEDS_RESET]).toEqual([0, Status.NEEDS_RESET]);
    expect(driver.shown('needs a reset')?.detail).toContain('bus mastering is off');
  });

  test('no messages are sent', () => {
    const { driver, change } = changing();
    driver.start();
    driver.useMessages();
    driver.pci(4, 2, 2);
    change();
    expect(driver.messages).toEqual([]);
  });
});

describe('the window in the configuration space', () => {
  const open = (driver: PciDriver, bar: number, offset: number, length: number) => {
    const at = driver.capabilities.get(Structure.WINDOW) ?? 0;
    driver.pci(at + Field.BAR, 1, bar);
    driver.pci(at + Field.OFFSET, 4, offset);
    driver.pci(at + Field.SIZE, 4, length);
    return at + Field.DATA;
  };

  test('reads and writes registers of the structures', () => {
    const driver = entropy();
    driver.machine.write(1, open(driver, 4, C.STATUS, 1), 1, Status.ACKNOWLEDGE);
    expect(driver.status).toBe(Status.ACKNOWLEDGE);
    expect(driver.machine.read(1, open(driver, 4, C.QUEUES, 2), 2)).toBe(1);
    driver.machine.write(1, open(driver, 4, C.DRIVER_FEATURES_SELECT, 4), 4, 0x1234_5678);
    expect(driver.machine.read(1, open(driver, 4, C.DRIVER_FEATURES_SELECT, 4), 4)).toBe(0x1234_5678);
  });

  test('does nothing for other lengths, places and BARs', () => {
    const driver = entropy();
    for (const [bar, offset, length] of [
      [4, C.STATUS, 3],
      [4, C.STATUS, 0],
      [4, C.STATUS + 1, 2],
      [2, C.STATUS, 1],
      [4, 0x4000, 4],
      [0xff, 0xffff_ffff, 4],
    ] as const) {
      const at = open(driver, bar, offset, length);
      driver.machine.write(1, at, 4, 0xff);
      driver.machine.read(1, at, 4);
    }
    expect(driver.status).toBe(0);
  });
});

describe.each([
  ['split', SPLIT],
  ['packed with event index', PACKED | featureBit(Feature.EVENT_IDX)],
])('a running device, %s', (_name, features) => {
  test('goes on from its saved state, in another machine', () => {
    const first = entropy().start(features);
    first.useMessages();
    first.request(NONE, 24);
    const saved = structuredClone(first.device.save());
    first.ring().offer([{ gpa: 0x5_0000, length: 8, writable: true }]);
    const second = entropy();
    second.dma.bytes.set(first.dma.bytes);
    second.device.restore(saved);
    expect(second.device.save()).toEqual(saved);
    first.notify();
    second.notify();
    expect(Buffer.compare(second.dma.bytes, first.dma.bytes)).toBe(0);
    expect([first.ring().collect(), second.messages]).toMatchObject([[{ written: 8 }], [0x41]]);
    expect(second.device.save()).toEqual(first.device.save());
  });

  test('is off after a reset of the machine', () => {
    const driver = entropy();
    const fresh = driver.device.save();
    driver.pci(4, 2, 2);
    driver.start(features);
    driver.useMessages();
    driver.request(NONE, 24);
    driver.device.reset();
    expect(driver.status).toBe(0);
    expect(driver.device.save().interrupts).toEqual(fresh.interrupts);
    expect(driver.pci(4, 2)).toBe(2);
  });
});

test.each([
  ['messages', (driver: PciDriver) => driver.useMessages(), 'MSI-X'],
  ['its pin', () => {}, 'INTA'],
])('a device with %s does in stages what it does at once', (_name, prepare, by) => {
  const [inStages, atOnce] = [true, false].map((isStaged) => {
    const driver = entropy().start();
    prepare(driver);
    driver.ring().offer([{ gpa: 0x5_0000, length: 8, writable: true }]);
    const steps = isStaged ? [...driver.notifyInStages()] : [];
    if (!isStaged) driver.notify();
    return { driver, steps, state: driver.device.save() };
  });
  expect(inStages?.state).toEqual(atOnce?.state);
  expect([inStages?.driver.messages, inStages?.driver.line.level]).toEqual([atOnce?.driver.messages, atOnce?.driver.line.level]);
  expect(inStages?.steps.flatMap((step) => (step.kind === 'enter' ? [step.frame.name] : []))).toEqual([
    'virtio-pci notify',
    'virtio-rng request',
    'virtio-pci interrupt',
  ]);
  const stage = inStages?.steps.find((step) => step.kind === 'stage' && step.id === 'virtio-pci.interrupt');
  expect(stage).toMatchObject({ values: by === 'INTA' ? { by } : { by, entry: 1, data: 0x41, masked: 'no' } });
});

test('the device is shown with its place, its queues and its vectors', () => {
  const driver = console().start();
  driver.useMessages();
  const shown = driver.device.inspect();
  expect([shown.name, shown.value, shown.detail]).toEqual(['virtio-console-pci', '0xc0004000', 'virtio-pci, device type 3']);
  expect(driver.shown('MSI-X entries')?.detail).toBe('configuration: 0, queue 0: 1, queue 1: 2');
  const [, onBus] = driver.machine.bus.inspect().children ?? [];
  expect([onBus?.value, onBus?.children?.at(-1)]).toMatchObject(['virtio-console-pci', { name: 'MSI-X', value: 'on' }]);
});

test('several devices of a kind have names of their own', () => {
  const world = { dma: new FakeDma(), send: () => {} };
  const names = ['virtio-blk', 'virtio-blk-1', 'something'].map((name) => new VirtioPci(block(), { ...world, name }).name);
  expect(names).toEqual(['virtio-blk-pci', 'virtio-blk-pci-1', 'something-pci']);
});

test('a state of another version is refused', () => {
  const { device } = entropy();
  const state = device.save();
  expect(() => device.restore({ ...state, version: 9 as 1 })).toThrow('The saved state of virtio-rng-pci has version 9');
});

test('what a driver writes into the device configuration reaches the device', () => {
  let printed = '';
  const driver = new PciDriver(new VirtioConsole({ transmit: (byte) => (printed += String.fromCharCode(byte)) }));
  driver.write(8, 4, 0x41, Structure.DEVICE);
  expect(printed).toBe('A');
});

test('a console with all channels has a vector for each queue', () => {
  const channels = Array.from({ length: 30 }, (_, index) => ({ name: `channel.${index}`, transmit: () => {} }));
  const driver = new PciDriver(new VirtioConsole({ transmit: () => {}, channels }));
  expect([Number(driver.read(C.QUEUES, 2)), driver.pci(0x42, 2)]).toEqual([64, 64]);
  driver.useMessages();
  expect(driver.shown('MSI-X entries')?.detail).toContain('queue 63: 64');
});
