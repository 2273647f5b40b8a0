import { expect, test } from 'vitest';
import { Random } from '../../support/random.ts';
import { FUZZED, fuzzRings } from './ring-fuzz.ts';

/** The same for 200,000 ring states of each device: test/long/virtio-rings.long.test.ts. */
test.each(FUZZED)('damaged rings make %s neither throw nor hang', (_name, make) => {
  const { served, refused, reasons } = fuzzRings(make, new Random(1), 4000);
  expect(served).toBeGreaterThan(400);
  expect(refused).toBeGreaterThan(400);
  expect(reasons.size).toBeGreaterThan(8);
});
