import { describe, expect, test } from 'vitest';
import { QueueError } from '../../../src/devices/virtio/queue/queue-error.ts';
import type { Virtqueue } from '../../../src/devices/virtio/queue/virtqueue.ts';
import { type Driver, FORMATS, type Options } from './drivers.ts';
import { FakeDma } from './fake-dma.ts';

const DATA = 0x1_0000;

/** Takes a chain that must be there. */
function take(queue: Virtqueue) {
  const chain = queue.take();
  if (chain === undefined) throw new Error('nothing is available');
  return chain;
}

/** Takes and gives back so many chains. */
function turn(queue: Virtqueue, chains: number, written = 0): void {
  for (let index = 0; index < chains; index++) queue.giveBack(take(queue), written);
}

describe.each(FORMATS)('a %s queue', (_format, driverOf) => {
  const start = (options?: Options): { dma: FakeDma; driver: Driver; queue: Virtqueue } => {
    const dma = new FakeDma();
    const driver = driverOf(dma, options);
    return { dma, driver, queue: driver.device() };
  };
  const one = [{ gpa: DATA, length: 4 }];

  test.each([false, true])('hands over chains and takes them back, indirect: %s', (indirect) => {
    const { dma, driver, queue } = start();
    expect(queue.take()).toBeUndefined();
    dma.bytes.set([1, 2, 3, 4, 5], DATA);
    const id = driver.offer(
      [
        { gpa: DATA, length: 2 },
        { gpa: DATA + 2, length: 3 },
        { gpa: DATA + 0x100, length: 3, writable: true },
        { gpa: DATA + 0x200, length: 4, writable: true },
      ],
      indirect,
    );
    const chain = take(queue);
    expect(chain.id).toBe(id);
    expect([...chain.readable.read(1, 100)]).toEqual([2, 3, 4, 5]);
    expect(chain.writable.length).toBe(7);
    chain.writable.write(2, Uint8Array.of(9, 8, 7, 6, 5, 4, 3));
    expect([...dma.bytes.slice(DATA + 0x100, DATA + 0x104)]).toEqual([0, 0, 9, 0]);
    expect([...dma.bytes.slice(DATA + 0x200, DATA + 0x205)]).toEqual([8, 7, 6, 5, 0]);
    expect(queue.take()).toBeUndefined();
    expect(driver.collect()).toEqual([]);
    queue.giveBack(chain, 7);
    expect(driver.collect()).toEqual([{ id, written: 7 }]);
  });

  test('goes round its ring for as long as it likes', () => {
    const { driver, queue } = start();
    for (let round = 0; round < 30_000; round++) {
      const buffers = Array.from({ length: (round % 3) + 1 }, () => ({ gpa: DATA, length: 8, writable: true }));
      const ids = [driver.offer(buffers), driver.offer(one)];
      turn(queue, 2, 5);
      const back = driver.collect();
      if (back.length !== 2 || back[0]?.id !== ids[0] || back[1]?.id !== ids[1]) expect(back).toEqual(ids);
    }
    expect(queue.take()).toBeUndefined();
  });

  test('interrupts for what was given back, unless the driver suppresses that', () => {
    const { driver, queue } = start();
    expect(queue.needsInterrupt()).toBe(false);
    driver.offer(one);
    turn(queue, 1);
    expect(queue.needsInterrupt()).toBe(true);
    expect(queue.needsInterrupt()).toBe(false);
    driver.suppressInterrupts(true);
    driver.offer(one);
    turn(queue, 1);
    expect(queue.needsInterrupt()).toBe(false);
  });

  test('interrupts when the event index is passed, in each place of the ring', () => {
    const { driver, queue } = start({ hasEventIndex: true, size: 8 });
    for (let round = 0; round < 50; round++) {
      driver.interruptAfter(3);
      for (const expected of [false, false, true, false]) {
        driver.offer(one);
        turn(queue, 1);
        expect(queue.needsInterrupt(), `round ${round}`).toBe(expected);
      }
      driver.collect();
      // Several at once pass it too.
      driver.interruptAfter(2);
      for (let index = 0; index < 3; index++) driver.offer(one);
      turn(queue, 3);
      expect(queue.needsInterrupt(), `round ${round}`).toBe(true);
      driver.collect();
    }
  });

  test('says whether it wants notifications', () => {
    const { driver, queue } = start();
    queue.wantNotifications(false);
    expect(driver.notifications().suppressed).toBe(true);
    queue.wantNotifications(true);
    expect(driver.notifications().suppressed).toBe(false);
  });

  test('says by the event index which buffer it waits for', () => {
    const { driver, queue } = start({ hasEventIndex: true });
    driver.offer(one);
    turn(queue, 1);
    expect(driver.notifications().event).toBe(1);
    queue.wantNotifications(false);
    driver.offer(one);
    turn(queue, 1);
    expect(driver.notifications().event).toBe(1);
    queue.wantNotifications(true);
    expect(driver.notifications().event).toBe(2);
  });

  test('goes on from a saved position', () => {
    const { driver, queue } = start();
    for (let index = 0; index < 11; index++) {
      driver.offer(one);
      turn(queue, 1);
      driver.collect();
    }
    const restored = driver.device(structuredClone(queue.position));
    expect(restored.position).toEqual(queue.position);
    const id = driver.offer(one);
    turn(restored, 1, 3);
    expect(driver.collect()).toMatchObject([{ id }]);
  });

  test('shows its places', () => {
    const { driver, queue } = start();
    driver.offer(one);
    turn(queue, 1);
    expect(queue.inspect()[0]).toMatchObject({ value: '0x1000', memory: { space: 'gpa', address: 0x1000n } });
    expect(JSON.stringify(queue.inspect().map(({ detail }) => detail))).toContain('next taken: 1');
  });

  test.each<[string, readonly { gpa: number; length: number; writable?: boolean }[], string]>([
    ['a buffer beyond memory', [{ gpa: 0xf_fffc, length: 8 }], 'not all RAM'],
    ['a buffer of 4 GiB', [{ gpa: DATA, length: 0xffff_ffff }], 'not all RAM'],
    ['a buffer of no bytes', [{ gpa: DATA, length: 0 }], 'no bytes'],
    [
      'one to read behind one to write',
      [
        { gpa: DATA, length: 1, writable: true },
        { gpa: DATA, length: 1 },
      ],
      'follows one to write',
    ],
  ])('refuses %s, direct and indirect', (_name, buffers, reason) => {
    for (const indirect of [false, true]) {
      const { driver, queue } = start();
      driver.offer(buffers, indirect);
      expect(() => queue.take()).toThrow(reason);
      expect(() => queue.take()).toThrow(QueueError);
    }
  });

  test('refuses indirect tables that were not negotiated', () => {
    const { driver, queue } = start({ hasIndirect: false });
    driver.offer(one, true);
    expect(() => queue.take()).toThrow('VIRTIO_F_INDIRECT_DESC was not negotiated');
  });

  test('refuses chains that are longer than the ring', () => {
    const { driver, queue } = start({ size: 4 });
    driver.offer(
      Array.from({ length: 5 }, () => ({ gpa: DATA, length: 1 })),
      true,
    );
    expect(() => queue.take()).toThrow('more than the 4 descriptors');
  });

  test.each([
    [{ size: 0 }, 'entries'],
    [{ size: 0x1_0000 }, 'entries'],
    [{ descriptorArea: 0x1008n }, 'not aligned'],
    [{ descriptorArea: 0xf_fff0n }, 'not all in RAM'],
    [{ driverArea: 0xffff_ffff_ffff_fffcn }, 'not all in RAM'],
    [{ driverArea: 0x1000n }, 'overlaps'],
    [{ deviceArea: 0x1010n }, 'overlaps'],
    [{ deviceArea: 0x3000n }, 'overlaps'],
  ])('refuses a layout with %o', (change, reason) => {
    const { driver, queue } = start();
    const make = queue.constructor as new (dma: FakeDma, layout: Driver['layout']) => Virtqueue;
    expect(() => new make(new FakeDma(), { ...driver.layout, ...change })).toThrow(reason);
  });
});
