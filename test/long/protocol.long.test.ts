import { test } from 'vitest';
import { fuzzProtocol } from '../fuzz/protocol.ts';

test('5,000 damaged requests of the Debug Adapter Protocol crash and hang nothing', () => {
  fuzzProtocol(5_000, 4_000_000);
});
