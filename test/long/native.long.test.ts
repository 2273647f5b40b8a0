import { describe } from 'vitest';
import { whyNotNative } from '../processor/native/native-machine.ts';
import { compareEncodings, compareMnemonics } from '../processor/native/suite.ts';

// 5.7 million cases of integer instructions; native-vectors has 4.3 million of the others, at the same time.
const reason = whyNotNative();

describe.skipIf(reason)(
  `the emulated processor agrees with the real one, at length${reason ? ` (skipped: ${reason})` : ''}`,
  () => {
    if (reason) return;
    compareEncodings(300_000, 1);
    compareEncodings(10_000, 3, 'translator');
    for (const bits of [64, 32, 16] as const) {
      compareMnemonics({ cases: bits === 64 ? 3_000_000 : 1_200_000, seed: 2, bits });
      compareMnemonics({ cases: 24_000, seed: 4, bits, tier: 'translator' });
    }
  },
);
