import { describe } from 'vitest';
import { fuzzInstructionStreams } from './instruction-streams-suite.ts';

describe('the processor under random instructions', () => {
  fuzzInstructionStreams(150, 1, 5);
});
