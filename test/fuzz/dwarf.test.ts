import { describe, expect, test } from 'vitest';
import { compileSeeds, fuzzDebugSections } from './dwarf.ts';

const seeds = compileSeeds();
const reason = seeds.length === 0 ? 'neither gcc nor clang is installed' : undefined;

describe.skipIf(reason)(`damaged debug information${reason ? ` (skipped: ${reason})` : ''}`, () => {
  test('400 programs with damaged debug sections answer every question, or say why not', () => {
    expect(fuzzDebugSections(seeds, 400, 1)).toBeGreaterThan(40);
  });
});
