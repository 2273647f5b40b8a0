import { describe } from 'vitest';
import { whyNotNative } from './native-machine.ts';
import { compareVectorEncodings, compareVectors } from './suite.ts';

/** Cases of each form in the short run. */
const COUNT = 20;
const reason = whyNotNative();

describe.skipIf(reason)(`vectors agree with the real processor's${reason ? ` (skipped: ${reason})` : ''}`, () => {
  if (reason) return;
  compareVectorEncodings(4_000, 1);
  compareVectorEncodings(1_000, 2, 'translator');
  for (const bits of [64, 32, 16] as const) {
    compareVectors({ count: bits === 64 ? COUNT : COUNT / 4, seed: 1, bits });
    compareVectors({ count: COUNT / 5, seed: 2, bits, tier: 'translator' });
  }
});
