import { describe, expect, test } from 'vitest';
import { At, type Mode, describe as outcome, type SystemMachine } from '../system/machine.ts';
import { mixedProgram, withProgram } from './programs.ts';

const MODES: readonly Mode[] = ['real', 'protected', 'protected-user', 'compatible', 'long', 'long-user'];
const INTERPRETER = { threshold: 0 };
const TRANSLATOR = { threshold: 20 };
const NEVER = 10_000_000;

/** Runs to the end in slices; says how it ended, with the state's hash and the memory's contents. */
function finish(machine: SystemMachine, slice = NEVER) {
  const { processor, memory } = machine;
  machine.processor.intercepts.hlt = true;
  let result = processor.run(slice);
  while (result.kind === 'budget') result = processor.run(slice);
  const ram = memory.read(0n, 0x1_0000);
  let sum = 0;
  for (const byte of ram) sum = (Math.imul(sum, 31) + byte) | 0;
  return { outcome: outcome(result), icount: processor.icount, hash: processor.stateHash(), sum };
}

describe.each(MODES)('code in mode %s', (mode) => {
  const expected = finish(withProgram(mode, mixedProgram(mode), INTERPRETER));

  test('runs to its end', () => {
    expect(expected.outcome).toBe(mode.endsWith('user') ? '#GP(0)' : 'hlt');
    expect(expected.icount).toBeGreaterThan(20_000n);
  });

  test('is translated, and ends in the same state', () => {
    const machine = withProgram(mode, mixedProgram(mode), TRANSLATOR);
    expect(finish(machine)).toEqual(expected);
    expect(machine.processor.translations.made).toBeGreaterThan(3);
  });

  test.each([1, 2, 7, 97, 997])('ends in the same state when it is stopped every %i instructions', (slice) => {
    expect(finish(withProgram(mode, mixedProgram(mode), TRANSLATOR), slice)).toEqual(expected);
  });

  test('ends in the same state with a watch that is never hit', () => {
    for (const options of [INTERPRETER, TRANSLATOR]) {
      const machine = withProgram(mode, mixedProgram(mode), options);
      machine.processor.setWatches([
        { id: 1, space: 'gva', address: BigInt(At.DATA + 0x800), length: 8n, read: true, write: true },
      ]);
      expect(finish(machine)).toEqual(expected);
    }
  });

  test('ends in the same state where translated code is dropped all the time for want of room', () => {
    const machine = withProgram(mode, mixedProgram(mode), { threshold: 5, capacity: 6000 });
    expect(finish(machine)).toEqual(expected);
    expect(machine.processor.translations.bytes).toBeLessThanOrEqual(6000);
    expect(machine.processor.translations.made).toBeGreaterThan(machine.processor.translations.kept);
  });
});
