import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { Random } from '../../support/random.ts';
import { MmioDriver } from './mmio-driver.ts';
import { FUZZED, fuzzRings } from './ring-fuzz.ts';
import { TRANSPORTS } from './transports.ts';

const EACH = TRANSPORTS.flatMap(([transport, makeDriver]) =>
  FUZZED.map(([name, make]) => [`${name} behind ${transport}`, makeDriver, make] as const),
);

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** The same for 200,000 ring states of each device: test/long/virtio-rings.long.test.ts. */
test.each(EACH)('damaged rings make %s neither throw nor hang', (_name, makeDriver, make) => {
  const { served, refused, reasons } = fuzzRings(makeDriver, make, new Random(1), 4000);
  expect(served).toBeGreaterThan(400);
  expect(refused).toBeGreaterThan(400);
  expect(reasons.size).toBeGreaterThan(8);
});

test.each(FUZZED)('damaged rings are to %s in stages what they are at once', (_name, make) => {
  const [atOnce, inStages] = [false, true].map((isStaged) => {
    const { driver, ...outcome } = fuzzRings((model) => new MmioDriver(model), make, new Random(2), 600, isStaged);
    return { outcome, state: driver.device.save(), level: driver.line.level, memory: hash(driver.dma.bytes) };
  });
  expect(inStages).toEqual(atOnce);
});
