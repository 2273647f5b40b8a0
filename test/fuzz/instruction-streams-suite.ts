import { expect, test } from 'vitest';
import { parseCpu } from '../../src/processor/models/parse-cpu.ts';
import { cpuTime } from '../support/cpu-time.ts';
import { MODES, runStream, StreamMachine } from './instruction-streams.ts';

/** Milliseconds that no stream may take, however slow the machine is. */
const PATIENCE = 10_000;

/**
 * Defines a test per mode that runs `count` random streams in the interpreter, every `sliceEvery`th of them also in slices of 1
 * and 7, and every `translateEvery`th with all code translated, whole and in slices of 7.
 */
export function fuzzInstructionStreams(
  count: number,
  firstSeed: number,
  sliceEvery: number,
  translateEvery: number,
  vendors: readonly ('amd' | 'intel')[] = ['amd', 'intel'],
): void {
  for (const vendor of vendors) {
    const machine = new StreamMachine(parseCpu('max', vendor));
    const translating = new StreamMachine(parseCpu('max', vendor), 1);
    for (const mode of MODES) {
      test(`${count} random streams in mode ${mode} (${vendor}) crash and hang nothing`, () => {
        for (let index = 0; index < count; index++) {
          const seed = firstSeed + index;
          const place = `seed ${seed}, mode ${mode}, ${vendor}`;
          const begin = cpuTime();
          try {
            const whole = runStream(machine, seed, mode, 1_000_000);
            if (index % sliceEvery === 0)
              for (const slice of [1, 7])
                expect(runStream(machine, seed, mode, slice), `${place}, slices of ${slice}`).toEqual(whole);
            if (index % translateEvery === 0)
              for (const slice of [1_000_000, 7])
                expect(runStream(translating, seed, mode, slice), `${place}, translated, slices of ${slice}`).toEqual(whole);
          } catch (error) {
            if (error instanceof Error && !error.message.includes(place)) error.message = `${place}: ${error.message}`;
            throw error;
          }
          expect(cpuTime() - begin, `${place} takes too long`).toBeLessThan(PATIENCE);
        }
        expect(machine.damage()).toBeUndefined();
        expect(translating.damage()).toBeUndefined();
      });
    }
  }
}
