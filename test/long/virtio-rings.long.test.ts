import { expect, test } from 'vitest';
import { FUZZED, fuzzRings } from '../devices/virtio/ring-fuzz.ts';
import { TRANSPORTS } from '../devices/virtio/transports.ts';
import { Random } from '../support/random.ts';

const COUNT = 200_000;

const EACH = TRANSPORTS.flatMap(([transport, makeDriver]) =>
  FUZZED.map(([name, make]) => [`${name} behind ${transport}`, makeDriver, make] as const),
);

test.each(EACH)(`${COUNT} damaged ring states make %s neither throw nor hang`, (name, makeDriver, make) => {
  const { served, refused, reasons } = fuzzRings(makeDriver, make, new Random(2), COUNT);
  console.log(`${name}: ${served} served, ${refused} refused for ${reasons.size} reasons`);
  expect(served).toBeGreaterThan(COUNT / 10);
  expect(refused).toBeGreaterThan(COUNT / 10);
});
