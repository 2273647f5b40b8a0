import { describe } from 'vitest';
import { fuzzInstructionStreams } from './instruction-streams-suite.ts';

describe('the processor under random instructions', () => {
  fuzzInstructionStreams(60, 1, 5, 2);
});
