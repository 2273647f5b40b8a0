import { describe, expect, test } from 'vitest';
import { fuzzAssembly, fuzzElfFiles, fuzzLaunchConfigurations } from '../fuzz/inputs.ts';
import { ASSEMBLY_SOURCES } from '../fuzz/sources.ts';

describe('damaged inputs, at length', () => {
  test('5,000 ELF files are loaded or refused with a sentence', () => {
    expect(fuzzElfFiles(5_000, 1_000_000, 5).refused).toBeGreaterThan(100);
  });

  test('5,000 assembly sources are assembled or refused with a sentence', () => {
    expect(fuzzAssembly(5_000, 2_000_000, ASSEMBLY_SOURCES).refused).toBeGreaterThan(100);
  });

  test('5,000 launch configurations are taken or refused with a sentence', () => {
    const tally = fuzzLaunchConfigurations(5_000, 3_000_000);
    expect(tally.accepted).toBeGreaterThan(20);
    expect(tally.refused).toBeGreaterThan(100);
  });
});
