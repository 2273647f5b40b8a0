import { describe, expect, test } from 'vitest';
import { PartitionClock } from '../../../../src/hypervisor/partition/clock.ts';
import { MessageType } from '../../../../src/platforms/hyperv/abi/synic.ts';
import { StimerConfig } from '../../../../src/platforms/hyperv/abi/synthetic-timers.ts';
import type { QueuedMessage } from '../../../../src/platforms/hyperv/synic/message-queue.ts';
import { SyntheticTimer } from '../../../../src/platforms/hyperv/synic/synthetic-timer.ts';

const { ENABLED, PERIODIC, LAZY, AUTO_ENABLE, DIRECT_MODE } = StimerConfig;
const SOURCE_2 = 2n << StimerConfig.SINT_SHIFT;
const DIRECT_0X40 = DIRECT_MODE | (0x40n << StimerConfig.APIC_VECTOR_SHIFT);

/** A timer at reference time 1000, where messages stay queued until they are delivered. */
function timer() {
  let ticks = 100_000n;
  const clock = new PartitionClock(() => ticks);
  const queue: { source: number; message: QueuedMessage }[] = [];
  const interrupts: [vector: number, at: bigint][] = [];
  const stimer = new SyntheticTimer(1, {
    clock,
    referenceTime: () => ticks / 100n,
    enqueue: (source, message) => queue.push({ source, message }),
    withdraw: (buffers) => {
      if (queue.length === 0) return;
      queue.length = 0;
      buffers.release();
    },
    interrupt: (vector) => interrupts.push([vector, ticks / 100n]),
  });
  return {
    stimer,
    queue,
    interrupts,
    /** Lets time pass, with each timer at its time. */
    until(time: bigint) {
      for (; clock.next !== undefined && clock.next <= time * 100n; clock.fireDue()) if (clock.next > ticks) ticks = clock.next;
      ticks = time * 100n;
    },
    /** Time that passes while nothing is asked. */
    jump(time: bigint) {
      ticks = time * 100n;
      clock.fireDue();
    },
    deliver() {
      const first = queue.shift();
      if (!first) return undefined;
      const { type, payload } = first.message.message();
      first.message.buffers.release();
      const view = new DataView(payload.buffer);
      expect([type, view.getUint32(0, true), view.getUint32(4, true)]).toEqual([MessageType.TIMER_EXPIRED, 1, 0]);
      return { source: first.source, expiration: view.getBigUint64(8, true), delivery: view.getBigUint64(16, true) };
    },
  };
}

describe('a one-shot timer', () => {
  test('expires at its time, with a message that says when it was to and when it came, and is disabled', () => {
    const { stimer, queue, until, deliver } = timer();
    stimer.count = 1500n;
    stimer.config = ENABLED | SOURCE_2;
    expect(stimer.due).toBe(1500n);
    until(1499n);
    expect([queue.length, stimer.isEnabled]).toEqual([0, true]);
    until(1500n);
    expect([queue.length, stimer.isEnabled, stimer.due]).toEqual([1, false, undefined]);
    until(1600n);
    expect(deliver()).toEqual({ source: 2, expiration: 1500n, delivery: 1600n });
    expect(queue).toEqual([]);
  });

  test('of the past expires at once', () => {
    const { stimer, queue, until } = timer();
    stimer.count = 3n;
    stimer.config = ENABLED | SOURCE_2;
    until(1000n);
    expect(queue.length).toBe(1);
  });

  test('waits for its buffer where the message of the time before is still queued', () => {
    const { stimer, queue, until, deliver } = timer();
    stimer.config = AUTO_ENABLE | SOURCE_2;
    stimer.count = 1100n;
    until(1200n);
    const queued = queue.splice(0);
    stimer.count = 1300n;
    queue.push(...queued);
    until(1400n);
    expect([queue.length, stimer.isQueued]).toEqual([1, true]);
    expect(deliver()?.expiration).toBe(1100n);
    expect(deliver()?.expiration).toBe(1300n);
  });
});

describe('a periodic timer', () => {
  test('begins its first period when it is enabled, and goes on until it is disabled', () => {
    const { stimer, until, interrupts } = timer();
    stimer.count = 300n;
    until(1050n);
    stimer.config = ENABLED | PERIODIC | DIRECT_0X40;
    until(2000n);
    expect(interrupts).toEqual([1350n, 1650n, 1950n].map((at) => [0x40, at]));
    stimer.config = PERIODIC | DIRECT_0X40;
    until(5000n);
    expect(interrupts.length).toBe(3);
  });

  test('that has missed several periods makes up for one, and keeps its pace', () => {
    const { stimer, jump, until, interrupts } = timer();
    stimer.count = 100n;
    stimer.config = ENABLED | PERIODIC | DIRECT_0X40;
    jump(1550n);
    until(1600n);
    expect(interrupts.map(([, at]) => at)).toEqual([1550n, 1550n, 1600n]);
  });

  test('that is lazy makes up for none', () => {
    const { stimer, jump, until, interrupts } = timer();
    stimer.count = 100n;
    stimer.config = ENABLED | PERIODIC | LAZY | DIRECT_0X40;
    jump(1550n);
    until(1600n);
    expect(interrupts.map(([, at]) => at)).toEqual([1550n, 1600n]);
  });

  test.each([
    ['has one expiration wait', 0n, [1100n, 1200n]],
    ['skips all, if it is lazy,', LAZY, [1100n]],
  ])('%s while the message of an earlier one is queued', (_name, lazy, expirations) => {
    const { stimer, until, deliver, queue } = timer();
    stimer.count = 100n;
    stimer.config = ENABLED | PERIODIC | SOURCE_2 | lazy;
    until(1550n);
    const seen = [];
    while (queue.length > 0) seen.push(deliver()?.expiration);
    expect(seen).toEqual(expirations);
    until(1600n);
    expect(deliver()?.expiration).toBe(1600n);
  });

  test('has a shortest period, which bounds the work of the host', () => {
    const { stimer, until, interrupts } = timer();
    stimer.count = 1n;
    stimer.config = ENABLED | PERIODIC | DIRECT_0X40;
    until(1100n);
    expect(interrupts.length).toBe(10);
  });
});

describe('registers', () => {
  test('disable a timer that would be for source 0, unless it is direct', () => {
    const { stimer } = timer();
    stimer.count = 2000n;
    stimer.config = ENABLED;
    expect([stimer.config, stimer.due]).toEqual([0n, undefined]);
    stimer.config = ENABLED | DIRECT_0X40;
    expect([stimer.isEnabled, stimer.due]).toEqual([true, 2000n]);
  });

  test('enable a timer with its count, where it is to be enabled so, and disable it with 0', () => {
    const { stimer } = timer();
    stimer.config = AUTO_ENABLE | SOURCE_2;
    expect(stimer.isEnabled).toBe(false);
    stimer.count = 2000n;
    expect([stimer.isEnabled, stimer.due]).toEqual([true, 2000n]);
    stimer.count = 0n;
    expect([stimer.isEnabled, stimer.due, stimer.config]).toEqual([false, undefined, AUTO_ENABLE | SOURCE_2]);
  });

  test('keep reserved bits at 0, and start nothing with a count alone', () => {
    const { stimer } = timer();
    stimer.config = 0xffff_ffff_fff0_e000n | SOURCE_2;
    expect(stimer.config).toBe(SOURCE_2);
    stimer.count = 2000n;
    expect(stimer.due).toBeUndefined();
  });

  test('that are written take back what was not delivered', () => {
    const { stimer, queue, until } = timer();
    stimer.count = 1100n;
    stimer.config = ENABLED | SOURCE_2;
    until(1200n);
    expect(queue.length).toBe(1);
    stimer.config = 0n;
    expect([queue.length, stimer.isQueued]).toEqual([0, false]);
  });
});
