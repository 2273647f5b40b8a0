import { describe, expect, test } from 'vitest';
import { hostPlace } from '../../src/hypervisor/second-level/host-place.ts';
import { SecondLevelMap } from '../../src/hypervisor/second-level/second-level-map.ts';
import type { VmExit } from '../../src/processor/exit.ts';
import { parseCpu } from '../../src/processor/models/parse-cpu.ts';
import { Random } from '../support/random.ts';
import { MODES, runStream, StreamMachine } from './instruction-streams.ts';

/** Seeds; some of them have failed before. */
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 23, 35, 64, 208];
const PAGES = 32;
/** Violations of a stream, after which nothing is forbidden any more. */
const MOST = 400;

const RIGHTS = [
  { read: true, write: true, execute: true },
  { read: true, write: false, execute: true },
  { read: true, write: true, execute: false },
  { read: true, write: false, execute: false },
  { read: false, write: false, execute: false },
] as const;
const [ALL] = RIGHTS;

/**
 * A map that forbids accesses at random, and allows each when it was tried. What a guest computes must not depend on it: every
 * instruction and every delivery of an event can be begun again, wherever it was refused.
 */
class Forbidder {
  refused = 0;
  private readonly random: Random;

  constructor(
    private readonly map: SecondLevelMap,
    seed: number,
  ) {
    this.random = new Random(seed);
    map.reset();
    map.splitAll(0n, BigInt(PAGES * 0x1000));
    for (let page = 0; page < PAGES; page++) map.setPermissions(BigInt(page * 0x1000), 0x1000n, this.random.pick(RIGHTS));
  }

  readonly retries = (exit: VmExit): boolean => {
    if (exit.reason !== 'second-level-violation') return false;
    this.map.setPermissions(exit.gpa & ~0xfffn, 0x1000n, ALL);
    // Others are forbidden again.
    if (++this.refused < MOST && this.random.chance(0.3)) {
      const page = BigInt(this.random.below(PAGES) * 0x1000);
      if (page !== (exit.gpa & ~0xfffn)) this.map.setPermissions(page, 0x1000n, this.random.pick(RIGHTS));
    }
    return true;
  };
}

describe.each(['intel', 'amd'] as const)('random instructions whose accesses are refused at random (%s)', (vendor) => {
  const plain = new StreamMachine(parseCpu('max', vendor));
  const tiers = [0, 1].map((threshold) => {
    const machine = new StreamMachine(parseCpu('max', vendor), threshold);
    return {
      machine,
      map: new SecondLevelMap(machine.memory, hostPlace(0), { vendor }),
      name: threshold === 0 ? 'interpreted' : 'translated',
    };
  });

  test.each(MODES)('do in mode %s what they do without', (mode) => {
    let refused = 0;
    for (const seed of SEEDS) {
      const expected = runStream(plain, seed, mode, 1_000_000);
      for (const { machine, map, name } of tiers)
        for (const slice of [1_000_000, 7]) {
          const forbidder = new Forbidder(map, seed);
          const seen = runStream(machine, seed, mode, slice, forbidder.retries);
          expect(seen, `seed ${seed}, mode ${mode}, ${vendor}, ${name}, slices of ${slice}`).toEqual(expected);
          refused += forbidder.refused;
        }
    }
    expect(refused).toBeGreaterThan(SEEDS.length);
  });
});
