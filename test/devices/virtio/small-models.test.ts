import { describe, expect, test } from 'vitest';
import { Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioConsole } from '../../../src/devices/virtio/console/device.ts';
import { VirtioEntropy } from '../../../src/devices/virtio/entropy/device.ts';
import { PACKED, SPLIT } from './mmio-driver.ts';
import { onEach } from './transports.ts';

const NONE = new Uint8Array(0);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const encoded = (words: string) => new TextEncoder().encode(words);

const RINGS = [
  ['split', SPLIT],
  ['packed', PACKED],
] as const;

describe.each(onEach(RINGS))('an entropy device, %s', (_name, make, features) => {
  test('fills what there is room for with the same bytes in every run', () => {
    const [first, second] = [0, 1].map(() => {
      const driver = make(new VirtioEntropy()).start(features);
      return [driver.request(NONE, 13).bytes, driver.request(NONE, 32).bytes];
    });
    expect(first).toEqual(second);
    expect(first?.[1]?.slice(0, 13)).not.toEqual(first?.[0]);
  });

  test('gives less than a huge buffer has room for', () => {
    const driver = make(new VirtioEntropy()).start(features);
    driver.ring().offer([{ gpa: 0x6_0000, length: 0x8_0000, writable: true }]);
    driver.notify();
    expect(driver.ring().collect()).toMatchObject([{ written: 0x1000 }]);
    expect(driver.dma.bytes.slice(0x6_1000).every((byte) => byte === 0)).toBe(true);
  });

  test('goes on after a restore with the bytes that come next', () => {
    const first = make(new VirtioEntropy()).start(features);
    first.request(NONE, 16);
    const second = make(new VirtioEntropy());
    second.model.restore(first.model.save());
    expect(second.start(features).request(NONE, 16).bytes).toEqual(first.request(NONE, 16).bytes);
  });
});

describe.each(onEach(RINGS))('a console, %s', (_name, make, features) => {
  const start = () => {
    let printed = '';
    const model = new VirtioConsole({ transmit: (byte) => (printed += String.fromCharCode(byte)) });
    const driver = make(model);
    return { model, driver, printed: () => printed };
  };

  test('prints', () => {
    const { driver, printed } = start();
    driver.start(features);
    expect(driver.request(encoded('Hello,'), 0, { queue: 1, piece: 2 }).used?.written).toBe(0);
    driver.request(encoded(' console\n'), 0, { queue: 1 });
    expect(printed()).toBe('Hello, console\n');
    expect([driver.config(0, 2), driver.config(2, 2)]).toEqual([80n, 25n]);
  });

  test('hands over what comes from outside, in buffers as they come', () => {
    const { driver, model } = start();
    model.receive(encoded('before'));
    driver.start(features);
    expect(text(driver.request(NONE, 4).bytes)).toBe('befo');
    driver.acknowledge();
    expect(driver.request(NONE, 4)).toMatchObject({ used: { written: 2 } });
    expect(driver.line.level).toBe(true);
    driver.acknowledge();
    const empty = driver.request(NONE, 8);
    expect(empty.used).toBeUndefined();
    expect([driver.line.level, driver.ring().notifications().suppressed]).toEqual([false, true]);
    model.receive(encoded('later'));
    expect(driver.ring().collect()).toMatchObject([{ written: 5 }]);
    expect(driver.line.level).toBe(true);
  });

  test('listens once its driver runs', () => {
    const { driver, model } = start();
    expect(model.listensForInput).toBe(false);
    driver.start(features);
    expect(model.listensForInput).toBe(true);
    driver.status = 0;
    expect(model.listensForInput).toBe(false);
  });

  test('needs a reset when input would go to where no memory is', () => {
    const { driver, model } = start();
    driver.start(features);
    driver.ring().offer([{ gpa: 0xfff_0000, length: 8, writable: true }]);
    driver.notify();
    expect(driver.status & Status.NEEDS_RESET).toBe(0);
    model.receive(encoded('x'));
    expect(driver.status & Status.NEEDS_RESET).toBe(Status.NEEDS_RESET);
  });

  test('keeps what waits in its state', () => {
    const first = start();
    first.model.receive(encoded('waits'));
    const second = start();
    second.model.restore(structuredClone(first.model.save()));
    expect(text(second.driver.start(features).request(NONE, 5).bytes)).toBe('waits');
  });
});
