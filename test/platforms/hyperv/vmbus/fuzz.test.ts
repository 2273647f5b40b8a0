import { expect, test } from 'vitest';
import { Random } from '../../../support/random.ts';
import { fuzzMessages, fuzzRings } from './vmbus-fuzz.ts';

/** The same with more than 100,000 of each: test/long/hyperv-vmbus.long.test.ts. */
test('damaged rings make a channel neither throw nor hang', () => {
  const { served, refused, reasons } = fuzzRings(new Random(1), 5000);
  expect(served).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(500);
  expect(reasons.size).toBeGreaterThan(5);
});

test('wrong messages make the bus neither throw nor hang', () => {
  const { served, refused, reasons } = fuzzMessages(new Random(2), 5000);
  expect(served).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(500);
  expect(reasons.size).toBeGreaterThan(20);
});

test('damaged rings and wrong messages are in stages what they are at once', () => {
  for (const fuzz of [fuzzRings, fuzzMessages]) {
    const [atOnce, inStages] = [false, true].map((isStaged) => {
      const { guest, ...outcome } = fuzz(new Random(3), 1500, isStaged);
      return { outcome, guest };
    });
    expect(inStages?.outcome).toEqual(atOnce?.outcome);
    expect(Buffer.compare(inStages?.guest.dma.bytes ?? Buffer.of(), atOnce?.guest.dma.bytes ?? Buffer.of(1))).toBe(0);
  }
});
