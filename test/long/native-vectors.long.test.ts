import { describe } from 'vitest';
import { whyNotNative } from '../processor/native/native-machine.ts';
import { compareVectorEncodings, compareVectors } from '../processor/native/suite.ts';

// 4.3 million cases of MMX, SSE and AVX instructions.
const reason = whyNotNative();

describe.skipIf(reason)(`vectors agree with the real processor's, at length${reason ? ` (skipped: ${reason})` : ''}`, () => {
  if (reason) return;
  compareVectorEncodings(300_000, 7);
  compareVectorEncodings(10_000, 8, 'translator');
  for (const bits of [64, 32, 16] as const) {
    compareVectors({ cases: bits === 64 ? 2_200_000 : 900_000, seed: 5, bits });
    compareVectors({ cases: 24_000, seed: 6, bits, tier: 'translator' });
  }
});
