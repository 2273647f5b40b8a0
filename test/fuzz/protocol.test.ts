import { test } from 'vitest';
import { fuzzProtocol } from './protocol.ts';

test('damaged requests of the Debug Adapter Protocol are answered, and crash and hang nothing', () => {
  fuzzProtocol(600, 1);
});
