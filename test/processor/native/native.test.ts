import { describe } from 'vitest';
import { whyNotNative } from './native-machine.ts';
import { compareEncodings, compareMnemonics } from './suite.ts';

/** Cases of each form in the short run. */
const COUNT = 40;
const reason = whyNotNative();

describe.skipIf(reason)(`the emulated processor agrees with the real one${reason ? ` (skipped: ${reason})` : ''}`, () => {
  if (reason) return;
  compareEncodings(4_000, 1);
  compareEncodings(1_000, 2, 'translator');
  for (const bits of [64, 32, 16] as const) {
    compareMnemonics({ count: bits === 64 ? COUNT : COUNT / 2, seed: 1, bits });
    compareMnemonics({ count: COUNT / 4, seed: 2, bits, tier: 'translator' });
  }
});
