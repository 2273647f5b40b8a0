import { expect } from 'vitest';
import { LaunchError, parseLaunchConfiguration } from '../../src/debugger/configuration/launch-configuration.ts';
import { ConfigurationError } from '../../src/platforms/configuration.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { ProgramError } from '../../src/programs/program.ts';
import { cpuTime } from '../support/cpu-time.ts';
import { oneFile } from '../support/files.ts';
import { Random } from '../support/random.ts';
import { elfSeed } from './elf-seed.ts';
import { mutateBytes, mutateJson, mutateText } from './mutate.ts';

/** Milliseconds that no input may take. */
const PATIENCE = 3000;

/** What came of an input. */
export interface Tally {
  accepted: number;
  refused: number;
}

/**
 * Feeds one input in. It is either accepted, or refused by an error of ours that says why in words; everything else is a
 * failure, and the seed is named.
 */
function feed(tally: Tally, place: string, use: () => void): void {
  const begin = cpuTime();
  try {
    use();
    tally.accepted++;
  } catch (error) {
    if (!(error instanceof ProgramError || error instanceof ConfigurationError || error instanceof LaunchError)) {
      if (error instanceof Error) error.message = `${place}: ${error.message}`;
      throw error;
    }
    expect(error.message, place).toMatch(/\w+ .*\w/);
    tally.refused++;
  }
  expect(cpuTime() - begin, `${place} takes too long`).toBeLessThan(PATIENCE);
}

/** Damaged ELF files are loaded; those that still load run for a while, every `runEvery`th one. */
export function fuzzElfFiles(count: number, firstSeed: number, runEvery: number): Tally {
  const seeds = ([32, 64] as const).flatMap((bits) =>
    (['plain', 'pvh', 'multiboot1'] as const).map((protocol) => elfSeed(bits, protocol)),
  );
  const tally: Tally = { accepted: 0, refused: 0 };
  for (let index = 0; index < count; index++) {
    const seed = firstSeed + index;
    const random = new Random(seed);
    const bytes = mutateBytes(random, random.pick(seeds));
    feed(tally, `ELF file of seed ${seed}`, () => {
      const program = loadProgram(bytes, 'damaged.elf', {}, oneFile('damaged.elf', bytes));
      if (index % runEvery !== 0) return;
      const partition = createPartition({ platform: 'kvm', vendor: 'amd', memory: 4 * 1024 * 1024, vcpus: 1 }, program);
      partition.run({ instructions: 500 });
    });
  }
  return tally;
}

/** Damaged assembly sources are assembled. `sources` are whole programs. */
export function fuzzAssembly(count: number, firstSeed: number, sources: readonly string[]): Tally {
  const words = [...new Set(sources.flatMap((source) => source.match(/[%.\w$]+/g) ?? []))];
  const tally: Tally = { accepted: 0, refused: 0 };
  for (let index = 0; index < count; index++) {
    const seed = firstSeed + index;
    const random = new Random(seed);
    const text = mutateText(random, random.pick(sources), random.pick(sources), words);
    const bytes = new TextEncoder().encode(text);
    feed(tally, `assembly of seed ${seed}`, () => loadProgram(bytes, 'damaged.asm', {}, oneFile('damaged.asm', bytes)));
  }
  return tally;
}

const LAUNCH: readonly unknown[] = [
  { type: 'hyperscope', request: 'launch', name: 'Run', program: 'samples/hello/hello.asm' },
  {
    type: 'hyperscope',
    request: 'launch',
    name: 'All',
    program: 'kernel.elf',
    platform: 'kvm',
    vendor: 'intel',
    memory: '64M',
    vcpus: 2,
    append: 'console=ttyS0',
    stopOnEntry: true,
    args: ['a', 'b'],
    disk: ['a.img'],
    net: 'none',
    timeout: 10,
  },
];

/** Damaged launch configurations are read. */
export function fuzzLaunchConfigurations(count: number, firstSeed: number): Tally {
  const tally: Tally = { accepted: 0, refused: 0 };
  for (let index = 0; index < count; index++) {
    const seed = firstSeed + index;
    const random = new Random(seed);
    let value = random.pick(LAUNCH);
    for (let edits = random.between(1, 3); edits > 0; edits--) value = mutateJson(random, value);
    feed(tally, `launch configuration of seed ${seed}`, () => parseLaunchConfiguration(value));
  }
  return tally;
}
