import { describe } from 'vitest';
import { fuzzInstructionStreams } from '../fuzz/instruction-streams-suite.ts';

// Half of the 200,000; the other vendor has a file of its own, so that two cores share the work.
describe('the processor under 100,000 random instruction streams (amd)', () => {
  fuzzInstructionStreams(10_000, 1_000_000, 20, 40, ['amd']);
});
