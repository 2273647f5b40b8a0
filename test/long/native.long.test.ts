import { describe } from 'vitest';
import { whyNotNative } from '../processor/native/native-machine.ts';
import { compareEncodings, compareMnemonics, compareVectorEncodings, compareVectors } from '../processor/native/suite.ts';

/** Cases of each form. */
const COUNT = 1200;
const reason = whyNotNative();

describe.skipIf(reason)(
  `the emulated processor agrees with the real one, at length${reason ? ` (skipped: ${reason})` : ''}`,
  () => {
    if (reason) return;
    compareEncodings(300_000, 1);
    compareEncodings(10_000, 3, 'translator');
    compareVectorEncodings(300_000, 7);
    compareVectorEncodings(10_000, 8, 'translator');
    for (const bits of [64, 32, 16] as const) {
      compareMnemonics({ count: bits === 64 ? COUNT : COUNT / 2, seed: 2, bits });
      compareMnemonics({ count: COUNT / 40, seed: 4, bits, tier: 'translator' });
      compareVectors({ count: bits === 64 ? COUNT : COUNT / 4, seed: 5, bits });
      compareVectors({ count: COUNT / 40, seed: 6, bits, tier: 'translator' });
    }
  },
);
