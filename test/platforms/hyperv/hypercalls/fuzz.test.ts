import { describe, expect, test } from 'vitest';
import { HypercallFuzzer } from './hypercall-fuzz.ts';

describe.each([
  ['intel', 64, 1],
  ['intel', 32, 2],
  ['amd', 64, 3],
  ['amd', 32, 4],
] as const)('on %s, from %s-bit code', (vendor, mode, seed) => {
  test('random hypercalls end with a status, and another partition does not notice', () => {
    const fuzzer = new HypercallFuzzer(seed, vendor, mode);
    const before = fuzzer.neighbourHash();
    fuzzer.run(1_500);
    expect(fuzzer.neighbourHash()).toBe(before);
    expect(fuzzer.count.succeeded).toBeGreaterThan(100);
    expect(fuzzer.count.codes.size).toBeGreaterThan(15);
  });
});
