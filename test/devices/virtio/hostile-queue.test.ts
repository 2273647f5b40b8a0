import { describe, expect, test } from 'vitest';
import { DescriptorFlag as Flag } from '../../../src/devices/virtio/queue/descriptor.ts';
import { PackedDriver, SplitDriver } from './drivers.ts';
import { FakeDma } from './fake-dma.ts';

const RING = 0x1000;
const TABLE = 0x6000;
const DATA = 0x1_0000n;

describe('a split ring of a hostile driver', () => {
  const start = () => {
    const dma = new FakeDma();
    const driver = new SplitDriver(dma);
    return { dma, driver, queue: driver.device() };
  };

  test('with a loop ends', () => {
    const { dma, driver, queue } = start();
    driver.describe(RING, 0, DATA, 4, Flag.NEXT, 1);
    driver.describe(RING, 1, DATA, 4, Flag.NEXT, 0);
    driver.publish(0);
    expect(() => queue.take()).toThrow('a chain has more than the 8 descriptors of its queue: it may be a loop');
    expect(dma.accesses).toBeLessThan(20);
  });

  test.each([
    ['that points out of the table', Flag.NEXT, 4, 8, 'descriptor 8 is wanted, but there are 8'],
    ['that is indirect and has a next one', Flag.INDIRECT | Flag.NEXT, 16, 1, 'has a next one'],
    ['with an indirect table of no bytes', Flag.INDIRECT, 0, 0, 'not made of whole descriptors'],
    ['with an indirect table of half a descriptor', Flag.INDIRECT, 24, 0, 'not made of whole descriptors'],
    ['with an indirect table beyond memory', Flag.INDIRECT, 0xffff_fff0, 0, 'not all RAM'],
  ])('with a descriptor %s is refused', (_name, flags, length, next, reason) => {
    const { driver, queue } = start();
    driver.describe(RING, 0, DATA, length, flags, next);
    driver.publish(0);
    expect(() => queue.take()).toThrow(reason);
  });

  test('with an indirect table that points out of itself is refused', () => {
    const { driver, queue } = start();
    driver.describe(RING, 0, BigInt(TABLE), 32, Flag.INDIRECT, 0);
    driver.describe(TABLE, 0, DATA, 4, Flag.NEXT, 2);
    driver.publish(0);
    expect(() => queue.take()).toThrow('indirect descriptor 2 is wanted, but there are 2');
  });

  test('with an indirect table in an indirect table is refused, also where that is the ring itself', () => {
    for (const table of [TABLE, RING]) {
      const { driver, queue } = start();
      driver.describe(RING, 0, BigInt(table), 16, Flag.INDIRECT, 0);
      driver.describe(table, 0, BigInt(table), 16, Flag.INDIRECT, 0);
      driver.publish(0);
      expect(() => queue.take()).toThrow('indirect descriptor 0 is indirect within an indirect table');
    }
  });

  test('with an index that jumps is refused', () => {
    const { dma, queue } = start();
    dma.view.setUint16(0x3002, 9, true);
    expect(() => queue.take()).toThrow('the available index jumped 9 entries ahead in a ring of 8');
    dma.view.setUint16(0x3002, 0xffff, true);
    expect(() => queue.take()).toThrow('jumped 65535 entries');
  });

  test('with a head out of the table is refused', () => {
    const { driver, queue } = start();
    driver.publish(0xffff);
    expect(() => queue.take()).toThrow('descriptor 65535 is wanted');
  });

  test('of a size that is no power of 2 is refused', () => {
    expect(() => new SplitDriver(new FakeDma(), { size: 6 }).device()).toThrow('power of 2');
  });

  test('in a page that was given back throws', () => {
    const { dma, driver, queue } = start();
    driver.offer([{ gpa: Number(DATA), length: 4 }]);
    dma.ballooned = DATA;
    const chain = queue.take();
    expect(() => chain?.readable.read(0, 4)).toThrow('no RAM');
    dma.ballooned = 0x3000n;
    expect(() => queue.take()).toThrow('no RAM');
  });
});

describe('a packed ring of a hostile driver', () => {
  const start = (size = 8) => {
    const dma = new FakeDma();
    const driver = new PackedDriver(dma, { size });
    return { dma, driver, queue: driver.device() };
  };

  test('whose chain has no end ends', () => {
    const { dma, driver, queue } = start();
    for (let index = 0; index < 8; index++) driver.describe(RING, index, DATA, 4, 0, Flag.NEXT | Flag.AVAILABLE);
    expect(() => queue.take()).toThrow('a chain has more than the 8 descriptors');
    expect(dma.accesses).toBeLessThan(20);
  });

  test('with a buffer id out of the ring is refused', () => {
    const { driver, queue } = start();
    driver.describe(RING, 0, DATA, 4, 8, Flag.AVAILABLE);
    expect(() => queue.take()).toThrow('descriptor 0 has the buffer id 8 in a ring of 8');
  });

  test('with an indirect table in an indirect table is refused', () => {
    const { driver, queue } = start();
    driver.describe(RING, 0, BigInt(TABLE), 16, 0, Flag.AVAILABLE | Flag.INDIRECT);
    driver.describe(TABLE, 0, BigInt(TABLE), 16, 0, Flag.INDIRECT);
    expect(() => queue.take()).toThrow('indirect within an indirect table');
  });

  test('with an indirect table of millions of descriptors ends', () => {
    const { dma, driver, queue } = start();
    driver.describe(RING, 0, 0n, 0x10_0000, 0, Flag.AVAILABLE | Flag.INDIRECT);
    for (let at = 0x2_0000; at < 0x10_0000; at += 16) driver.describe(at, 0, DATA, 1, 0, 0);
    expect(() => queue.take()).toThrow();
    expect(dma.accesses).toBeLessThan(20);
  });

  test('of any size is served', () => {
    const { driver, queue } = start(5);
    for (let round = 0; round < 1000; round++) {
      const id = driver.offer([
        { gpa: 0x1_0000, length: 4 },
        { gpa: 0x1_0000, length: 4, writable: true },
      ]);
      const chain = queue.take();
      if (chain) queue.giveBack(chain, 4);
      expect(driver.collect()).toEqual([{ id, written: 4 }]);
    }
  });
});
