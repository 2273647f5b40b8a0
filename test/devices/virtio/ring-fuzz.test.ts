import { expect, test } from 'vitest';
import { Random } from '../../support/random.ts';
import { FUZZED, fuzzRings } from './ring-fuzz.ts';
import { TRANSPORTS } from './transports.ts';

const EACH = TRANSPORTS.flatMap(([transport, makeDriver]) =>
  FUZZED.map(([name, make]) => [`${name} behind ${transport}`, makeDriver, make] as const),
);

/** The same for 200,000 ring states of each device: test/long/virtio-rings.long.test.ts. */
test.each(EACH)('damaged rings make %s neither throw nor hang', (_name, makeDriver, make) => {
  const { served, refused, reasons } = fuzzRings(makeDriver, make, new Random(1), 4000);
  expect(served).toBeGreaterThan(400);
  expect(refused).toBeGreaterThan(400);
  expect(reasons.size).toBeGreaterThan(8);
});
