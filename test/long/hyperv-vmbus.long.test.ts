import { expect, test } from 'vitest';
import { fuzzMessages, fuzzRings } from '../platforms/hyperv/vmbus/vmbus-fuzz.ts';
import { Random } from '../support/random.ts';

const COUNT = 200_000;

test.each([
  ['ring states', fuzzRings],
  ['messages', fuzzMessages],
] as const)(`${COUNT} damaged %s make the VMBus neither throw nor hang`, (name, fuzz) => {
  const { served, refused, reasons } = fuzz(new Random(4), COUNT);
  console.log(`${name}: ${served} served, ${refused} refused for ${reasons.size} reasons`);
  expect(served).toBeGreaterThan(COUNT / 10);
  expect(refused).toBeGreaterThan(COUNT / 10);
});
