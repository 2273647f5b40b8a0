import { expect, test } from 'vitest';
import type { InspectNode } from '../../../../src/devices/inspect.ts';
import { PartitionClock } from '../../../../src/hypervisor/partition/clock.ts';
import { Sint } from '../../../../src/platforms/hyperv/abi/synic.ts';
import { inspectSynic } from '../../../../src/platforms/hyperv/synic/inspect.ts';
import { MessageBuffers } from '../../../../src/platforms/hyperv/synic/message-queue.ts';
import { SyntheticTimer } from '../../../../src/platforms/hyperv/synic/synthetic-timer.ts';
import { synic, VECTOR } from './fake-synic.ts';

/** The tree as lines. */
function lines({ name, value = '', detail = '', children = [] }: InspectNode, indent = ''): string[] {
  return [
    `${indent}${[`${name}: ${value}`, detail].filter(Boolean).join(' | ')}`,
    ...children.flatMap((child) => lines(child, `${indent}  `)),
  ];
}

test('a debugger sees registers, slots, queues, event flags and timers of a SynIC', () => {
  const { vp } = synic({ sint2: VECTOR | Sint.AUTO_EOI });
  const buffers = new MessageBuffers(16);
  for (const type of [1, 0x8000_0010]) vp.post(2, { type, sender: 7n, payload: new Uint8Array(8) }, buffers);
  vp.signal(2, 3);
  vp.signal(2, 300);
  const timer = new SyntheticTimer(1, {
    clock: new PartitionClock(() => 100_000n),
    referenceTime: () => 1000n,
    enqueue: (source, message) => vp.enqueue(source, message),
    withdraw: (taken) => vp.withdraw(taken),
    interrupt: () => {},
  });
  timer.count = 1500n;
  timer.config = 0x2_0001n;
  expect(lines(inspectSynic(0, vp, [timer], 1000n))).toEqual([
    'SynIC of vCPU 0: on',
    '  SCONTROL: 0x1 | on',
    '  SIMP: 0x1001 | message page at 0x1000',
    '  SIEFP: 0x2001 | event flags page at 0x2000',
    '  SIRBP: 0x0 | no event ring page',
    '  SINT2: 0x20050 | vector 0x50, AutoEOI',
    '    message slot: message type 0x1 | 8 bytes from 0x7, more pending',
    '    queue: 1',
    '      message 0: HvMessageTimerExpired',
    '    event flags: 3, 300 | 2 of 2048',
    '  synthetic timer 1: 50000 ns left | one-shot, message to SINT2',
    '    CONFIG: 0x20001',
    '    COUNT: 0x5dc | reference time in units of 100 ns',
  ]);
});

test('its registers can be set as the guest would', () => {
  const { vp } = synic();
  const { children = [] } = inspectSynic(0, vp, [], 0n);
  const set = (name: string, value: bigint) => children.find((child) => child.name === name)?.set?.(value);
  expect([set('SINT2', 5n), set('SINT2', 0x60n), set('SCONTROL', 0n)]).toEqual([false, true, true]);
  expect([vp.sint(2), vp.enabled]).toEqual([0x60n, false]);
});
