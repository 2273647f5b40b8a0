import { expect, test } from 'vitest';
import { FUZZED, fuzzRings } from '../devices/virtio/ring-fuzz.ts';
import { Random } from '../support/random.ts';

const COUNT = 200_000;

test.each(FUZZED)(`${COUNT} damaged ring states make %s neither throw nor hang`, (name, make) => {
  const { served, refused, reasons } = fuzzRings(make, new Random(2), COUNT);
  console.log(`${name}: ${served} served, ${refused} refused for ${reasons.size} reasons`);
  expect(served).toBeGreaterThan(COUNT / 10);
  expect(refused).toBeGreaterThan(COUNT / 10);
});
