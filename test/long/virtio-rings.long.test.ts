import { expect, test } from 'vitest';
import { FUZZED, fuzzRings } from '../devices/virtio/ring-fuzz.ts';
import { TRANSPORTS } from '../devices/virtio/transports.ts';
import { Random } from '../support/random.ts';

/** Ring states of each device behind the first transport, and behind each of the others: what serves the rings is the same. */
const COUNTS = [200_000, 10_000];

const EACH = TRANSPORTS.flatMap(([transport, makeDriver], index) =>
  FUZZED.map(([name, make]) => [COUNTS[Math.min(index, 1)] ?? 0, `${name} behind ${transport}`, makeDriver, make] as const),
);

test.each(EACH)('%d damaged ring states make %s neither throw nor hang', (count, name, makeDriver, make) => {
  const { served, refused, reasons } = fuzzRings(makeDriver, make, new Random(2), count);
  console.log(`${name}: ${served} served, ${refused} refused for ${reasons.size} reasons`);
  expect(served).toBeGreaterThan(count / 10);
  expect(refused).toBeGreaterThan(count / 10);
});
