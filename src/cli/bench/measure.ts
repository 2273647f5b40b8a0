import type { BenchProgram } from './catalog.ts';
import type { Engine, EngineName } from './engines.ts';
import { ProgramImages } from './image.ts';
import { type TimedRun, timedRun } from './timed-run.ts';

/** How fast one engine ran one program. */
export interface Speed {
  /** Millions of guest instructions a second of time, median of the rounds. */
  readonly mips: number;
  /** The same by CPU seconds of all threads. */
  readonly cpuMips: number | undefined;
  readonly iterations: number;
  /** Milliseconds from when a place was hot until its code could run, of the region that took longest; the shortest of the rounds. */
  readonly longestTranslation: number | undefined;
}

export interface Measurement {
  readonly program: BenchProgram;
  readonly instructionsPerIteration: number;
  readonly speeds: ReadonlyMap<EngineName, Speed>;
  /** What went wrong, as sentences: an engine that failed, checksums that differ. */
  readonly problems: readonly string[];
}

export interface MeasureOptions {
  /** How long one run should take. */
  readonly seconds: number;
  readonly rounds: number;
}

/** No run may take longer, in seconds. */
const PATIENCE = 120;
/** A run that takes this part of the wanted time says how many iterations it needs. Shorter ones don't: code is cold at first. */
const ENOUGH = 0.6;

/** The middle one, or the mean of the two in the middle; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** Shorter times say nothing: a byte's way from process to process takes a part of them. In seconds. */
const LEAST_TIME = 0.005;
/** How many times as long the next run is at most. */
const GROWTH = 40;

/** Finds how many iterations an engine does in the wanted time, from a first run on. */
async function calibrate(
  engine: Engine,
  images: ProgramImages,
  first: { readonly iterations: number; readonly run: TimedRun },
  seconds: number,
): Promise<number> {
  let { iterations, run } = first;
  for (;;) {
    const wanted = (iterations * seconds) / Math.max(run.seconds, LEAST_TIME);
    if (run.seconds >= seconds * ENOUGH) return Math.max(1, Math.round(wanted));
    iterations = Math.ceil(Math.min(wanted, iterations * GROWTH));
    run = await timedRun(engine.start(images, iterations), PATIENCE);
  }
}

/** Instructions that one more iteration retires, counted by the interpreter. */
async function instructionsPerIteration(counter: Engine, images: ProgramImages, first: number): Promise<number> {
  const counts: number[] = [];
  for (const iterations of [first, 2 * first]) {
    const { instructions } = await timedRun(counter.start(images, iterations), PATIENCE);
    counts.push(instructions ?? Number.NaN);
  }
  const [one = 0, two = 0] = counts;
  return (two - one) / first;
}

/** Runs a program on all engines in turns. `onRun` is told before each run. */
export async function measure(
  program: BenchProgram,
  engines: readonly Engine[],
  counter: Engine,
  options: MeasureOptions,
  onRun: (what: string) => void,
): Promise<Measurement> {
  const images = new ProgramImages(program.name);
  const problems: string[] = [];
  try {
    onRun('counting instructions');
    const perIteration = await instructionsPerIteration(counter, images, program.first);
    const checksums = new Map<EngineName, string>();
    const iterations = new Map<Engine, number>();
    for (const engine of engines) {
      if (engine.runs && !engine.runs(program)) continue;
      onRun(`calibrating ${engine.name}`);
      try {
        const run = await timedRun(engine.start(images, program.first), PATIENCE);
        checksums.set(engine.name, run.checksum);
        iterations.set(engine, await calibrate(engine, images, { iterations: program.first, run }, options.seconds));
      } catch (error) {
        problems.push(`${program.name} on ${engine.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (new Set(checksums.values()).size > 1) {
      const list = [...checksums].map(([name, checksum]) => `${checksum} (${name})`).join(', ');
      problems.push(`${program.name}: the engines' checksums differ: ${list}`);
    }
    const wall = new Map<Engine, number[]>();
    const cpu = new Map<Engine, number[]>();
    const translation = new Map<Engine, number>();
    for (let round = 1; round <= options.rounds; round++)
      for (const [engine, count] of iterations) {
        onRun(`round ${round} of ${options.rounds}: ${engine.name}`);
        const run = await timedRun(engine.start(images, count), PATIENCE);
        const millions = (perIteration * count) / 1e6;
        wall.set(engine, [...(wall.get(engine) ?? []), millions / run.seconds]);
        if (run.longestTranslation !== undefined)
          translation.set(engine, Math.min(run.longestTranslation, translation.get(engine) ?? Number.POSITIVE_INFINITY));
        if (run.cpuSeconds) cpu.set(engine, [...(cpu.get(engine) ?? []), millions / run.cpuSeconds]);
      }
    const speeds = new Map<EngineName, Speed>();
    for (const [engine, count] of iterations) {
      const byCpu = cpu.get(engine);
      speeds.set(engine.name, {
        mips: median(wall.get(engine) ?? []),
        cpuMips: byCpu && median(byCpu),
        iterations: count,
        longestTranslation: translation.get(engine),
      });
    }
    return { program, instructionsPerIteration: perIteration, speeds, problems };
  } finally {
    images.remove();
  }
}
