import { describe, expect, test } from 'vitest';
import { compileSeeds, fuzzDebugSections } from '../fuzz/dwarf.ts';

const seeds = compileSeeds();
const reason = seeds.length === 0 ? 'neither gcc nor clang is installed' : undefined;

describe.skipIf(reason)(`damaged debug information, at length${reason ? ` (skipped: ${reason})` : ''}`, () => {
  test('5,000 programs with damaged debug sections answer every question, or say why not', () => {
    expect(fuzzDebugSections(seeds, 5_000, 5_000_000)).toBeGreaterThan(500);
  });
});
