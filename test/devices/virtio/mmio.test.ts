import { describe, expect, test } from 'vitest';
import { imageOfBytes } from '../../../src/devices/disk-image/raw-image.ts';
import { Feature, featureBit, featureBits, Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioBlock } from '../../../src/devices/virtio/block/device.ts';
import { VirtioEntropy } from '../../../src/devices/virtio/entropy/device.ts';
import type { DriverSide, VirtioModel } from '../../../src/devices/virtio/model.ts';
import { Interrupt, Register as R } from '../../../src/devices/virtio/transport/registers.ts';
import { MmioDriver, PACKED, SPLIT } from './mmio-driver.ts';

const NONE = new Uint8Array(0);

/** A driver of an entropy device. */
const entropy = () => new MmioDriver(new VirtioEntropy());

describe('the registers', () => {
  test('say what the device is', () => {
    const driver = entropy();
    expect([R.MAGIC, R.VERSION, R.DEVICE_ID, R.VENDOR_ID].map((register) => driver.read(register))).toEqual([
      0x7472_6976, 2, 4, 0x554d_4551,
    ]);
    expect([R.QUEUE_SIZE_MAX, R.CONFIG_GENERATION, R.STATUS].map((register) => driver.read(register))).toEqual([64, 0, 0]);
    driver.write(R.QUEUE_SELECT, 1);
    expect(driver.read(R.QUEUE_SIZE_MAX)).toBe(0);
    driver.write(R.SHM_SELECT, 0);
    expect([driver.read(R.SHM_LENGTH_LOW), driver.read(R.SHM_LENGTH_HIGH)]).toEqual([0xffff_ffff, 0xffff_ffff]);
  });

  test('offer the features in words', () => {
    const driver = entropy();
    const words = [0, 1, 2, 3, 4, 0xffff_ffff].map((word) => {
      driver.write(R.DEVICE_FEATURES_SELECT, word);
      return driver.read(R.DEVICE_FEATURES);
    });
    expect(words).toEqual([0x3000_0000, 0x14d, 0, 0, 0, 0]);
  });

  test('are of 32 bits: other accesses read as zero and have no effect', () => {
    const { device } = entropy();
    const [range] = device.mmio;
    const base = range?.base ?? 0n;
    expect([device.readMmio(base, 1), device.readMmio(base, 8), device.readMmio(base + 2n, 4)]).toEqual([0n, 0n, 0n]);
    device.writeMmio(base + BigInt(R.STATUS), 1, 1n);
    device.writeMmio(base + BigInt(R.STATUS) + 1n, 4, 1n);
    expect(device.readMmio(base + BigInt(R.STATUS), 4)).toBe(0n);
  });

  test('of the configuration are read in any size, and zero beyond its end', () => {
    const driver = new MmioDriver(new VirtioBlock({ image: imageOfBytes(new Uint8Array(0x300 * 512)), serial: 'x' }));
    expect([driver.config(0, 8), driver.config(0, 4), driver.config(1, 1), driver.config(0, 2)]).toEqual([
      0x300n,
      0x300n,
      3n,
      0x300n,
    ]);
    expect(driver.config(0xf8, 8)).toBe(0n);
  });
});

describe('negotiation', () => {
  test.each([
    ['what is offered', SPLIT, true],
    ['packed rings', PACKED, true],
    ['everything that is offered', featureBits(28, 29, 32, 34, 35, 40), true],
    ['no VERSION_1', featureBits(Feature.INDIRECT_DESC), false],
    ['a feature that is not offered', SPLIT | featureBit(33), false],
    ['a feature beyond the first 64', SPLIT | featureBit(100), false],
  ])('of %s', (_name, features, isAccepted) => {
    expect(entropy().negotiate(features)).toBe(isAccepted);
  });

  test('is over once features are agreed on', () => {
    const driver = entropy();
    driver.negotiate(SPLIT);
    driver.write(R.DRIVER_FEATURES_SELECT, 0);
    driver.write(R.DRIVER_FEATURES, 0);
    expect(driver.shown('features accepted')?.detail).toBe('INDIRECT_DESC, VERSION_1');
  });

  test('comes before DRIVER_OK, and DRIVER before it', () => {
    const driver = entropy();
    driver.write(R.STATUS, Status.ACKNOWLEDGE | Status.FEATURES_OK | Status.DRIVER_OK);
    expect(driver.read(R.STATUS)).toBe(Status.ACKNOWLEDGE);
  });

  test('leaves bits of the status that only the device sets, and bits that were set', () => {
    const driver = entropy();
    driver.negotiate(SPLIT);
    driver.write(R.STATUS, Status.NEEDS_RESET | Status.FAILED | 0x30);
    expect(driver.shown('status')?.detail).toBe('ACKNOWLEDGE, DRIVER, FEATURES_OK, FAILED');
    driver.write(R.STATUS, 0);
    expect(driver.shown('status')).toMatchObject({ value: '0x00', detail: 'reset' });
  });
});

describe.each([
  ['split', SPLIT],
  ['packed', PACKED],
  ['split with event index', SPLIT | featureBit(Feature.EVENT_IDX)],
  ['packed with event index', PACKED | featureBit(Feature.EVENT_IDX)],
])('a running device, %s', (_name, features) => {
  test('serves, interrupts until that is acknowledged', () => {
    const driver = entropy().start(features);
    driver.ring().interruptAfter(1);
    const { bytes, used } = driver.request(NONE, 16);
    expect(used?.written).toBe(16);
    expect(bytes.some((byte) => byte !== 0)).toBe(true);
    expect([driver.line.level, driver.read(R.INTERRUPT_STATUS)]).toEqual([true, Interrupt.QUEUE]);
    driver.write(R.INTERRUPT_ACKNOWLEDGE, Interrupt.CONFIGURATION);
    expect(driver.line.level).toBe(true);
    driver.write(R.INTERRUPT_ACKNOWLEDGE, Interrupt.QUEUE);
    expect([driver.line.level, driver.read(R.INTERRUPT_STATUS)]).toEqual([false, 0]);
  });

  test('does nothing before DRIVER_OK, and looks at its queues then', () => {
    const driver = entropy();
    driver.negotiate(features);
    const other = entropy().start(features);
    const { layout } = other.ring();
    driver.setUp(0, layout);
    // The rings of the one that runs, as a driver leaves them that has filled its queue.
    other.ring().offer([{ gpa: 0x5_0000, length: 8, writable: true }]);
    driver.dma.bytes.set(other.dma.bytes);
    driver.notify();
    expect(driver.dma.bytes.slice(0x5_0000, 0x5_0008)).toEqual(new Uint8Array(8));
    driver.write(R.STATUS, driver.read(R.STATUS) | Status.DRIVER_OK);
    expect(driver.dma.bytes.slice(0x5_0000, 0x5_0008)).not.toEqual(new Uint8Array(8));
  });

  test('forgets everything when it is reset, and begins anew', () => {
    const driver = entropy().start(features);
    driver.request(NONE, 16);
    driver.write(R.STATUS, 0);
    expect([R.QUEUE_READY, R.INTERRUPT_STATUS, R.STATUS].map((register) => driver.read(register))).toEqual([0, 0, 0]);
    expect(driver.line.level).toBe(false);
    driver.dma.bytes.fill(0);
    driver.start(features);
    expect(driver.request(NONE, 16).used?.written).toBe(16);
  });

  test('goes on from its saved state, in another machine', () => {
    const first = entropy().start(features);
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
    expect(first.ring().collect()).toMatchObject([{ written: 8 }]);
    expect(second.device.save()).toEqual(first.device.save());
  });

  test('needs a reset once the driver did what it must not, with the reason', () => {
    const driver = entropy().start(features);
    driver.ring().offer([{ gpa: 0xfff_fff0, length: 16, writable: true }]);
    driver.notify();
    expect(driver.read(R.STATUS) & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
    expect(driver.read(R.INTERRUPT_STATUS)).toBe(Interrupt.CONFIGURATION);
    expect(driver.shown('needs a reset')?.detail).toContain('names 0x10 bytes at 0xffffff0, which are not all RAM');
    const before = driver.dma.accesses;
    driver.notify();
    driver.write(R.STATUS, 0xff);
    expect(driver.dma.accesses).toBe(before);
    expect(driver.start(features).read(R.STATUS) & Status.NEEDS_RESET).toBe(0);
  });

  test('needs a reset when a buffer lies in a page that was given back', () => {
    const driver = entropy().start(features);
    driver.dma.ballooned = 0x5_0000n;
    driver.ring().offer([{ gpa: 0x5_0000, length: 16, writable: true }]);
    driver.notify();
    expect(driver.read(R.STATUS) & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
  });
});

describe('queues', () => {
  test('are set up while they are not ready', () => {
    const driver = entropy();
    driver.negotiate(SPLIT);
    driver.setUp(0, { size: 8, descriptorArea: 0x1000n, driverArea: 0x3000n, deviceArea: 0x4000n });
    expect(driver.read(R.QUEUE_READY)).toBe(1);
    driver.write(R.QUEUE_DESCRIPTOR_LOW, 0x9000);
    expect(driver.shown('queue 0: requests')?.children?.[0]).toMatchObject({ name: 'descriptor table', value: '0x1000' });
    driver.write(R.QUEUE_READY, 0);
    expect(driver.read(R.QUEUE_READY)).toBe(0);
  });

  test('are not ready before features are agreed on', () => {
    const driver = entropy();
    driver.setUp(0, { size: 8, descriptorArea: 0x1000n, driverArea: 0x3000n, deviceArea: 0x4000n });
    expect(driver.read(R.QUEUE_READY)).toBe(0);
  });

  test.each([
    [{ size: 128 }, 'queue 0 has 128 entries, but may have 64'],
    [{ size: 3 }, 'a split ring of 3 entries'],
    [{ descriptorArea: 0x1234_5678_9abc_def0n }, 'the descriptor table of 0x80 bytes at 0x123456789abcdef0 is not all in RAM'],
    [{ deviceArea: 0x1004n }, 'the used ring at 0x1004 overlaps the descriptor table at 0x1000'],
  ])('that can not be need a reset: %o', (change, reason) => {
    const driver = entropy();
    driver.negotiate(SPLIT);
    driver.setUp(0, { size: 8, descriptorArea: 0x1000n, driverArea: 0x3000n, deviceArea: 0x4000n, ...change });
    expect([driver.read(R.QUEUE_READY), driver.read(R.STATUS) & Status.NEEDS_RESET]).toEqual([0, Status.NEEDS_RESET]);
    expect(driver.shown('needs a reset')?.detail).toContain(reason);
  });

  test('are reset one by one where that was agreed on', () => {
    const driver = entropy().start();
    driver.write(R.QUEUE_RESET, 1);
    expect(driver.read(R.QUEUE_READY)).toBe(1);
    driver.start(SPLIT | featureBit(Feature.RING_RESET));
    driver.write(R.QUEUE_RESET, 1);
    expect([driver.read(R.QUEUE_RESET), driver.read(R.QUEUE_READY)]).toEqual([0, 0]);
    expect(driver.read(R.STATUS) & Status.DRIVER_OK).toBe(Status.DRIVER_OK);
  });

  test('that are not there are ignored', () => {
    const driver = entropy().start();
    driver.write(R.QUEUE_SELECT, 0xffff_ffff);
    driver.setUp(7, { size: 8, descriptorArea: 0x1000n, driverArea: 0x3000n, deviceArea: 0x4000n });
    driver.write(R.QUEUE_NOTIFY, 0xffff_ffff);
    expect(driver.read(R.STATUS) & Status.NEEDS_RESET).toBe(0);
  });
});

test('a change of the configuration is a new generation and an interrupt', () => {
  let side: DriverSide | undefined;
  const model: VirtioModel = new VirtioEntropy();
  const connect = model.connect.bind(model);
  model.connect = (driver) => {
    side = driver;
    connect(driver);
  };
  const driver = new MmioDriver(model);
  side?.configurationChanged();
  expect([driver.read(R.CONFIG_GENERATION), driver.line.level]).toEqual([1, false]);
  driver.start();
  side?.configurationChanged();
  expect([driver.read(R.CONFIG_GENERATION), driver.read(R.INTERRUPT_STATUS)]).toEqual([2, Interrupt.CONFIGURATION]);
});

test('a state of another version is refused', () => {
  const { device } = entropy();
  const state = device.save();
  expect(() => device.restore({ ...state, version: 9 as 1 })).toThrow('The saved state of virtio-rng has version 9');
});
