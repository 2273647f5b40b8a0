import { describe, expect, test } from 'vitest';
import { HypercallFuzzer } from '../platforms/hyperv/hypercalls/hypercall-fuzz.ts';

/** Four kinds of guest: a million calls together. */
const CALLS = 250_000;

describe.each([
  ['intel', 64, 101],
  ['intel', 32, 102],
  ['amd', 64, 103],
  ['amd', 32, 104],
] as const)('on %s, from %s-bit code', (vendor, mode, seed) => {
  test('a quarter of a million random hypercalls end with a status, and another partition does not notice', () => {
    const fuzzer = new HypercallFuzzer(seed, vendor, mode);
    const before = fuzzer.neighbourHash();
    fuzzer.run(CALLS);
    expect(fuzzer.neighbourHash()).toBe(before);
    expect(fuzzer.count.codes.size).toBeGreaterThan(35);
  });
});
