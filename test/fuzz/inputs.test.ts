import { describe, expect, test } from 'vitest';
import { fuzzAssembly, fuzzElfFiles, fuzzLaunchConfigurations } from './inputs.ts';
import { ASSEMBLY_SOURCES } from './sources.ts';

describe('damaged inputs', () => {
  test('ELF files are loaded or refused with a sentence', () => {
    const tally = fuzzElfFiles(600, 1, 10);
    // Both must happen, or nothing was tried.
    expect(tally.accepted).toBeGreaterThan(20);
    expect(tally.refused).toBeGreaterThan(20);
  });

  test('assembly is assembled or refused with a sentence', () => {
    const tally = fuzzAssembly(400, 1, ASSEMBLY_SOURCES);
    expect(tally.accepted).toBeGreaterThan(5);
    expect(tally.refused).toBeGreaterThan(20);
  });

  test('1,000 launch configurations are taken or refused with a sentence', () => {
    const tally = fuzzLaunchConfigurations(1_000, 3_000_000);
    expect(tally.accepted).toBeGreaterThan(20);
    expect(tally.refused).toBeGreaterThan(100);
  });
});
