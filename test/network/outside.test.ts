import { expect, test } from 'vitest';
import { decodeEvent, encodeEvent, type NetworkEvent } from '../../src/network/outside.ts';
import { Random } from '../support/random.ts';

const events: readonly NetworkEvent[] = [
  { kind: 'accepted', flow: 1, forward: 2 },
  { kind: 'connected', flow: 0xffff_fffe },
  { kind: 'data', flow: 4, bytes: Uint8Array.of(1, 2, 3) },
  { kind: 'data', flow: 4, bytes: new Uint8Array(0) },
  { kind: 'taken', flow: 4, count: 70_000 },
  { kind: 'finished', flow: 6 },
  { kind: 'closed', flow: 8 },
  { kind: 'link', isUp: true },
  { kind: 'link', isUp: false },
];

test.each(events)('an event is the same behind the door: $kind', (event) => {
  expect(decodeEvent(encodeEvent(event))).toEqual(event);
});

test('other bytes are no event', () => {
  const cut = events.map((event) => encodeEvent(event).subarray(0, 4));
  expect([...cut, Uint8Array.of(0, 0, 0, 0, 1), Uint8Array.of(7, 0, 0, 0, 1), new Uint8Array(0)].map(decodeEvent)).toEqual(
    Array.from({ length: events.length + 3 }),
  );
  const random = new Random(3);
  for (let round = 0; round < 1000; round++) decodeEvent(random.bytes(random.below(12)));
});
