import { describe, expect, test } from 'vitest';
import { Feature, featureBit, Status } from '../../../src/devices/virtio/abi.ts';
import type { VirtioModel } from '../../../src/devices/virtio/model.ts';
import { Register as R } from '../../../src/devices/virtio/transport/registers.ts';
import { Random } from '../../support/random.ts';
import { type Driver, PackedDriver, SplitDriver } from './drivers.ts';
import { someMessage } from './fuzz-messages.ts';
import { BUFFERS, MmioDriver, PACKED, SPLIT, type VirtioDriver } from './mmio-driver.ts';
import { FUZZED } from './ring-fuzz.ts';
import { onEach } from './transports.ts';

const MORE = featureBit(Feature.IN_ORDER) | featureBit(Feature.RING_RESET) | featureBit(Feature.NOTIFICATION_DATA);
const CHAINS = 3;

/** Makes buffers available to each queue in turn; the numbers of what came back from each, and of what was offered. */
const exchange = (driver: VirtioDriver, rings: readonly Driver[], notify: (index: number) => void) => {
  const random = new Random(3);
  return rings.map((ring, index) => {
    driver.dma.bytes.fill(0, BUFFERS, BUFFERS + 0x1000);
    const message = someMessage(driver.model, random);
    driver.dma.bytes.set(message, BUFFERS);
    const readable = { gpa: BUFFERS, length: Math.max(message.length, 64) };
    const offered = Array.from({ length: CHAINS }, () =>
      ring.offer([readable, { gpa: 0x6_0000, length: 0x3000, writable: true }], true),
    );
    notify(index);
    return { offered, back: ring.collect().map(({ id }) => id) };
  });
};

/** What the rings have in common for all kinds of devices. Messages are good ones and bad ones, as drivers may send. */
describe.each(onEach(FUZZED))('%s', (_name, makeDriver, make: () => VirtioModel) => {
  describe.each([
    ['split', SPLIT],
    ['packed', PACKED],
  ])('%s', (_format, format) => {
    const start = (features = format | MORE) => makeDriver(make()).start(features);
    test('gives buffers back in the order in which they came', () => {
      const driver = start();
      for (const { offered, back } of exchange(driver, driver.rings, (index) => driver.notify(index)))
        expect(back).toEqual(offered.slice(0, back.length));
      expect(driver.status & Status.NEEDS_RESET).toBe(0);
    });

    test('works on after each of its queues was reset', () => {
      const driver = start();
      const counts = exchange(driver, driver.rings, (index) => driver.notify(index)).map(({ back }) => back.length);
      const rings = driver.rings.map((ring, index) => {
        driver.resetQueue(index);
        expect(driver.isReady(index)).toBe(false);
        const origin = Number(ring.layout.descriptorArea);
        driver.dma.bytes.fill(0, origin, origin + 0x6000);
        const fresh = new (format === PACKED ? PackedDriver : SplitDriver)(driver.dma, { origin });
        driver.setUp(index, fresh.layout);
        return fresh;
      });
      const again = exchange(driver, rings, (index) => driver.notify(index));
      expect(driver.status & Status.NEEDS_RESET).toBe(0);
      again.forEach(({ offered, back }, index) => {
        expect(back).toEqual(offered.slice(0, back.length));
        if (counts[index] === CHAINS) expect(back).toHaveLength(CHAINS);
      });
    });

    test('is reset in the middle of its work, and works then', () => {
      const driver = start();
      exchange(driver, driver.rings, (index) => driver.notify(index));
      driver.device.reset();
      expect(driver.status).toBe(0);
      driver.start(format | MORE);
      for (const { offered, back } of exchange(driver, driver.rings, (index) => driver.notify(index)))
        expect(back).toEqual(offered.slice(0, back.length));
      expect(driver.status & Status.NEEDS_RESET).toBe(0);
    });

    test('is saved and restored in the middle of its work', () => {
      const driver = start();
      exchange(driver, driver.rings, (index) => driver.notify(index));
      const saved = structuredClone(driver.device.save());
      const other = makeDriver(make(), driver.dma);
      other.device.restore(saved);
      expect(other.device.save()).toEqual(saved);
    });
  });
});

/** On PCI the place of a notification tells the queue, whatever else is written. */
describe.each(FUZZED)('%s behind virtio-mmio', (_name, make: () => VirtioModel) => {
  test.each([
    ['split', SPLIT],
    ['packed', PACKED],
  ])('takes notifications with the place of the driver in its ring, %s', (_format, format) => {
    const start = (features = format | MORE) => new MmioDriver(make()).start(features);
    const plain = start(format);
    const counts = exchange(plain, plain.rings, (index) => plain.notify(index)).map(({ back }) => back.length);
    const driver = start();
    const withData = exchange(driver, driver.rings, (index) => driver.write(R.QUEUE_NOTIFY, 0x8003_0000 + index));
    expect(withData.map(({ back }) => back.length)).toEqual(counts);
    expect(counts.some((count) => count > 0)).toBe(true);
    // Who did not agree on that means a queue that is not there.
    const other = start(format);
    const none = exchange(other, other.rings, (index) => other.write(R.QUEUE_NOTIFY, 0x8003_0000 + index));
    expect(none.every(({ back }) => back.length === 0)).toBe(true);
  });
});
