import { describe, expect, test } from 'vitest';
import { motionAfter } from '../../src/extension/views/motion.ts';
import { partitionRows, queueOfRow } from '../../src/extension/views/partition-rows.ts';
import { Refresher } from '../../src/extension/views/refresher.ts';

/** A refresher with timers that a test lets pass, and questions that it answers. */
function refreshing() {
  const timers = new Map<object, () => void>();
  let time = 0;
  let interval = 0;
  const answers: (() => void)[] = [];
  let asked = 0;
  const refresher = new Refresher(
    () => {
      asked++;
      return new Promise((resolve) => answers.push(resolve));
    },
    {
      now: () => time,
      set: (milliseconds, callback) => {
        interval = milliseconds;
        const timer = {};
        timers.set(timer, callback);
        return timer;
      },
      clear: (timer) => timers.delete(timer as object),
    },
  );
  return {
    refresher,
    asked: () => asked,
    waiting: () => timers.size,
    interval: () => interval,
    answer: async (milliseconds = 1) => {
      time += milliseconds;
      answers.shift()?.();
      await Promise.resolve();
      await Promise.resolve();
    },
    pass: () => {
      const [[timer, callback] = []] = timers;
      timers.delete(timer ?? {});
      callback?.();
    },
  };
}

describe('a view asks', () => {
  test('nothing while it is hidden, and once when it is shown', () => {
    const { refresher, asked, waiting } = refreshing();
    refresher.changed(true);
    refresher.changed(true);
    expect([asked(), waiting()]).toEqual([0, 0]);
    refresher.setVisible(true);
    expect(asked()).toBe(1);
  });

  test('again and again while a guest moves, each time after the answer', async () => {
    const { refresher, asked, waiting, answer, pass } = refreshing();
    refresher.setVisible(true);
    refresher.changed(true);
    expect([asked(), waiting()]).toEqual([1, 0]);
    await answer();
    // What happened meanwhile is asked for at once.
    expect(asked()).toBe(2);
    await answer();
    expect([asked(), waiting()]).toEqual([2, 1]);
    pass();
    expect(asked()).toBe(3);
  });

  test('less often where answers take long, so that the guest has nine tenths of the time', async () => {
    const { refresher, answer, interval, pass } = refreshing();
    refresher.changed(true);
    refresher.setVisible(true);
    await answer(20);
    expect(interval()).toBe(500);
    pass();
    await answer(300);
    expect(interval()).toBe(2700);
    pass();
    await answer(20);
    expect(interval()).toBe(500);
  });

  test('once at a stop, and then no more', async () => {
    const { refresher, asked, waiting, answer } = refreshing();
    refresher.setVisible(true);
    await answer();
    refresher.changed(false);
    expect(asked()).toBe(2);
    await answer();
    expect([asked(), waiting()]).toEqual([2, 0]);
  });

  test('no more once it is hidden, and makes up for what has moved when it is shown again', async () => {
    const { refresher, asked, waiting, answer } = refreshing();
    refresher.setVisible(true);
    refresher.changed(true);
    await answer();
    await answer();
    refresher.setVisible(false);
    expect([asked(), waiting()]).toEqual([2, 0]);
    refresher.setVisible(true);
    expect(asked()).toBe(3);
  });

  test('nothing again when it is hidden and shown while the guest stands still', async () => {
    const { refresher, asked, answer } = refreshing();
    refresher.setVisible(true);
    await answer();
    refresher.setVisible(false);
    refresher.setVisible(true);
    expect(asked()).toBe(1);
  });
});

test.each([
  [{ type: 'response', command: 'continue', success: true }, 'moving'],
  [{ type: 'response', command: 'continue', success: false }, undefined],
  [{ type: 'response', command: 'threads', success: true }, undefined],
  [{ type: 'event', event: 'stopped', body: { allThreadsStopped: true } }, 'still'],
  [{ type: 'event', event: 'stopped', body: { allThreadsStopped: false } }, 'moving'],
  [{ type: 'event', event: 'invalidated', body: {} }, 'changed'],
  [{ type: 'event', event: 'terminated' }, 'still'],
  ['', undefined],
])('%j tells of guests that are %s', (message, motion) => {
  expect(motionAfter(message)).toBe(motion);
});

describe('rows of partitions', () => {
  const ram = (value: string) => ({ name: 'RAM', value, memoryReference: 'gpa:0x0' });
  const root = (value: string) => ({
    id: 3,
    name: 'guest',
    state: 'running' as const,
    value: 'kvm',
    children: [{ name: 'memory map', children: [ram('low'), ram(value)] }],
  });

  test('keep their ids while values change, and no two have the same', () => {
    const ids = (value: string) =>
      partitionRows([root(value)]).flatMap((row) => [row.id, ...(row.children[0]?.children ?? []).map(({ id }) => id)]);
    expect(ids('high')).toEqual(['3', '3/memory map/RAM', '3/memory map/RAM#2']);
    expect(ids('higher')).toEqual(ids('high'));
  });

  test('show value and detail beside the name, and the state of the partition', () => {
    const [row] = partitionRows([root('high')]);
    expect(row).toMatchObject({ name: 'guest', description: 'kvm  running', icon: 'vm-running' });
    expect(row?.children[0]?.children[1]).toMatchObject({
      description: 'high',
      tooltip: 'RAM: high',
      memoryReference: 'gpa:0x0',
    });
  });
});

test.each([
  ['1/devices/virtio-blk/queue 0: requests', { partition: 1, device: 'virtio-blk', queue: 0 }],
  ['2/devices/pci/00:02.0/virtio-net-pci/queue 1: transmit', { partition: 2, device: 'virtio-net-pci', queue: 1 }],
  ['1/devices/virtio-blk/queue 0: requests/available ring', undefined],
  ['1/devices/virtio-blk', undefined],
])('the row %s is about the virtqueue %j', (id, queue) => {
  expect(queueOfRow(id)).toEqual(queue);
});
