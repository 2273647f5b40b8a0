import { describe, expect, test } from 'vitest';
import { Feature, featureBit, Status } from '../../../src/devices/virtio/abi.ts';
import { VirtioBalloon } from '../../../src/devices/virtio/balloon/device.ts';
import { pageRuns } from '../../../src/devices/virtio/balloon/page-runs.ts';
import { BalloonFeature } from '../../../src/devices/virtio/balloon/registers.ts';
import { MmioDriver, PACKED, SPLIT } from './mmio-driver.ts';
import { onEach } from './transports.ts';

const [INFLATE, DEFLATE, STATISTICS, HINTS, REPORTS] = [0, 1, 2, 3, 4];
const words = (...values: readonly number[]) => new Uint8Array(Uint32Array.of(...values).buffer);

function statistic(tag: number, value: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(10));
  view.setUint16(0, tag, true);
  view.setBigUint64(2, value, true);
  return new Uint8Array(view.buffer);
}

test('pages are gathered into runs, upwards and downwards', () => {
  const runs = [...pageRuns(words(5, 6, 7, 3, 2, 1, 9))];
  expect(runs).toEqual([
    { first: 5, count: 3 },
    { first: 1, count: 3 },
    { first: 9, count: 1 },
  ]);
  expect([...pageRuns(words(1).subarray(0, 3))]).toEqual([]);
});

describe.each(
  onEach([
    ['split', SPLIT],
    ['packed', PACKED],
  ]),
)('a balloon, %s', (_name, make, features) => {
  const start = () => {
    const calls: string[] = [];
    const model = new VirtioBalloon({
      take: (gpa, size, state) => calls.push(`${state} 0x${gpa.toString(16)} ${size}`),
      give: (gpa, size) => calls.push(`given 0x${gpa.toString(16)} ${size}`),
    });
    const driver = make(model).start(features | featureBit(Feature.RING_RESET));
    const set = (offset: number, value: number) => driver.setConfig(offset, value);
    return { driver, model, calls, set };
  };

  test('tells its target, and hears how large it is', () => {
    const { driver, model, set } = start();
    model.inflateTo(512);
    expect([driver.config(0, 4), driver.generation, driver.line.level]).toEqual([512n, 1, true]);
    set(4, 500);
    expect(driver.config(4, 4)).toBe(500n);
    expect(driver.shown('actual')?.value).toBe('2000 KiB');
    driver.start(features);
    expect([driver.config(0, 4), driver.config(4, 4)]).toEqual([512n, 0n]);
  });

  test('takes pages and gives them again', () => {
    const { driver, calls } = start();
    driver.request(words(0x100, 0x101, 0x50), 0, { queue: INFLATE });
    driver.request(words(0x101, 0x100), 0, { queue: DEFLATE });
    expect(calls).toEqual(['ballooned 0x100000 8192', 'ballooned 0x50000 4096', 'given 0x100000 8192']);
    expect(driver.shown('pages')?.value).toBe('3 inflated, 2 deflated');
  });

  test('takes free pages that are reported, in whole pages, unless they must keep a pattern', () => {
    const { driver, calls, set } = start();
    driver.ring(REPORTS).offer([
      { gpa: 0x8_0000, length: 0x2000, writable: true },
      { gpa: 0x9_0001, length: 0x1fff, writable: true },
      { gpa: 0xa_0001, length: 0x1000, writable: true },
    ]);
    driver.notify(REPORTS);
    expect(calls).toEqual(['unbacked 0x80000 8192', 'unbacked 0x91000 4096']);
    set(12, 0xaa);
    driver.ring(REPORTS).offer([{ gpa: 0x8_0000, length: 0x2000, writable: true }]);
    driver.notify(REPORTS);
    expect(calls).toHaveLength(2);
    expect(driver.ring(REPORTS).collect()).toHaveLength(2);
  });

  test('keeps the buffer of statistics until it wants new ones', () => {
    const { driver, model } = start();
    expect(
      driver.request(Buffer.concat([statistic(4, 3n << 20n), statistic(99, 7n)]), 0, { queue: STATISTICS }).used,
    ).toBeUndefined();
    const children = driver.shown('statistics of the guest')?.children;
    expect(children).toEqual([
      { name: 'free', value: '3 MiB' },
      { name: 'statistic 99', value: '7' },
    ]);
    // Also when the machine is saved and restored in between.
    driver.device.restore(structuredClone(driver.device.save()));
    model.askStatistics();
    expect(driver.ring(STATISTICS).collect()).toMatchObject([{ written: 0 }]);
    model.askStatistics();
    expect(driver.ring(STATISTICS).collect()).toEqual([]);
    driver.request(statistic(4, 1n << 20n), 0, { queue: STATISTICS });
    expect(driver.shown('statistics of the guest')?.children).toEqual([{ name: 'free', value: '1 MiB' }]);
  });

  test('forgets that buffer when its queue is reset', () => {
    const { driver, model } = start();
    driver.request(statistic(4, 0n), 0, { queue: STATISTICS });
    driver.resetQueue(STATISTICS);
    expect(model.save().pending).toBeUndefined();
  });

  test('counts hints of the command that it gave, then says that it is done', () => {
    const { driver, model, calls } = start();
    const hint = (command: number) => driver.request(words(command), 0, { queue: HINTS });
    const block = () => {
      driver.ring(HINTS).offer([{ gpa: 0x8_0000, length: 0x3000, writable: true }]);
      driver.notify(HINTS);
      driver.ring(HINTS).collect();
    };
    block();
    expect(driver.shown('pages')?.detail).toBe('0 reported free, 0 hinted');
    model.askHints();
    const command = Number(driver.config(8, 4));
    expect(command).toBe(2);
    hint(command);
    block();
    block();
    hint(0);
    expect(driver.config(8, 4)).toBe(1n);
    block();
    expect([driver.shown('pages')?.detail, calls]).toEqual(['0 reported free, 6 hinted', []]);
  });
});

test('queues of features that were not accepted are not there', () => {
  const calls: bigint[] = [];
  const model = new VirtioBalloon({ take: (gpa) => calls.push(gpa), give: () => {} });
  const driver = new MmioDriver(model).start();
  driver.negotiate(SPLIT | featureBit(BalloonFeature.PAGE_REPORTING));
  for (const index of [0, 1, 2]) driver.setUp(index, driver.ring(index).layout);
  driver.dma.bytes.fill(0, 0x2_0000, 0x5_0000);
  driver.status |= Status.DRIVER_OK;
  driver.dma.bytes.fill(0, 0x2_0000, 0x4_0000);
  driver.ring(2).offer([{ gpa: 0x8_0000, length: 0x1000, writable: true }]);
  driver.notify(2);
  expect(calls).toEqual([0x8_0000n]);
});
