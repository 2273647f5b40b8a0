import { describe } from 'vitest';
import { fuzzInstructionStreams } from '../fuzz/instruction-streams-suite.ts';

describe('the processor under 200,000 random instruction streams', () => {
  fuzzInstructionStreams(10_000, 1_000_000, 20);
});
