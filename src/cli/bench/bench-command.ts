import { readFileSync, writeFileSync } from 'node:fs';
import { parse } from '../options.ts';
import { UsageError } from '../usage.ts';
import { type Baseline, parseBaseline, regressions } from './baseline.ts';
import { type BootGuest, bootTableOf, measureBoots } from './boot.ts';
import { type BenchProgram, GROUPS, PROGRAMS } from './catalog.ts';
import { engines as allEngines, ENGINE_NAMES, type Engine, type EngineName } from './engines.ts';
import { EXIT_KINDS } from './exits/exit-kinds.ts';
import { exitJsonOf, exitRegressions, exitTableOf } from './exits/exit-report.ts';
import { measureExits } from './exits/measure-exits.ts';
import { type Measurement, type MeasureOptions, measure } from './measure.ts';
import { jsonOf, tableOf } from './report.ts';

/** Something was wrong with a result, or slower than the baseline. */
const FAILED = 1;

function chosen<Item extends { readonly name: string }>(text: string | undefined, all: readonly Item[], option: string): Item[] {
  if (text === undefined) return [...all];
  return text.split(',').map((name) => {
    const item = all.find((candidate) => candidate.name === name.trim());
    if (!item) throw new UsageError(`--${option} takes names of ${all.map((each) => each.name).join(', ')}; "${name}" is none.`);
    return item;
  });
}

function engineNamed(name: EngineName, all: readonly Engine[] = allEngines()): Engine {
  const engine = all.find((candidate) => candidate.name === name);
  if (!engine) throw new Error(`there is no engine ${name}`);
  return engine;
}

function positive(text: string, option: string): number {
  const value = Number(text);
  if (!(value > 0 && value < 1000)) throw new UsageError(`--${option} takes a number above 0, not "${text}".`);
  return value;
}

function programsOf(names: string | undefined, group: string | undefined): BenchProgram[] {
  if (group !== undefined && !GROUPS.some((name) => name === group))
    throw new UsageError(`--group takes ${GROUPS.join(', ')}, not "${group}".`);
  return chosen(names, PROGRAMS, 'programs').filter((program) => group === undefined || program.group === group);
}

/** `hyperscope bench`: resolves with the exit status. */
export async function benchCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(
    args,
    {
      exits: { type: 'boolean', default: false },
      boot: { type: 'string' },
      initrd: { type: 'string' },
      disk: { type: 'string' },
      append: { type: 'string', default: 'console=ttyS0' },
      memory: { type: 'string', default: '256M' },
      programs: { type: 'string' },
      group: { type: 'string' },
      engines: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '1' },
      json: { type: 'string' },
      check: { type: 'string' },
    },
    'bench',
  );
  if (positionals.length > 0) throw new UsageError(`bench takes no "${positionals[0]}"; programs are named with --programs.`);
  const baseline = values.check === undefined ? undefined : parseBaseline(readFileSync(values.check, 'utf8'), values.check);
  const options = { seconds: positive(values.seconds, 'seconds'), rounds: Math.round(positive(values.rounds, 'rounds')) };
  if (values.boot !== undefined) {
    const { boot: kernel, initrd, disk, append: commandLine, memory } = values;
    return benchBoot({ kernel, initrd, disk, commandLine, memory }, options.rounds, values.json);
  }
  if (values.exits) {
    if (values.group !== undefined || values.engines !== undefined)
      throw new UsageError('--exits measures kinds of VM exits, which have no groups and engines; name kinds with --programs.');
    return benchExits(values.programs, options, values.json, baseline);
  }
  const programs = programsOf(values.programs, values.group);
  const every = allEngines();
  const wanted = chosen(values.engines, every, 'engines');
  const counter = engineNamed(ENGINE_NAMES[0], every);

  const usable = wanted.filter((engine: Engine) => {
    if (engine.missing) process.stderr.write(`skipped: ${engine.name}, since ${engine.missing}\n`);
    return engine.missing === undefined;
  });
  const measurements: Measurement[] = [];
  for (const [index, program] of programs.entries()) {
    const place = `${program.name} (${index + 1} of ${programs.length})`;
    measurements.push(await measure(program, usable, counter, options, (what) => say(`${place}: ${what}`)));
    say('');
  }
  process.stdout.write(
    tableOf(
      measurements,
      usable.map(({ name }) => name),
    ),
  );
  const problems = measurements.flatMap((measurement) => measurement.problems);
  if (baseline) problems.push(...regressions(baseline, measurements));
  return conclude(problems, values.json, () => jsonOf(measurements));
}

/** `hyperscope bench --boot`. */
async function benchBoot(guest: BootGuest, rounds: number, json: string | undefined): Promise<number> {
  const { missing } = engineNamed('qemu');
  if (missing) process.stderr.write(`skipped: QEMU, since ${missing}\n`);
  const measurements = await measureBoots(guest, rounds, missing === undefined, say);
  say('');
  process.stdout.write(bootTableOf(measurements));
  return conclude([], json, () => ({ boots: measurements }));
}

/** `hyperscope bench --exits`. */
function benchExits(
  names: string | undefined,
  options: MeasureOptions,
  json: string | undefined,
  baseline: Baseline | undefined,
): number {
  const kinds = chosen(names, EXIT_KINDS, 'programs');
  const measurements = kinds.map((kind, index) => {
    say(`${kind.name} (${index + 1} of ${kinds.length})`);
    return measureExits(kind, options);
  });
  say('');
  process.stdout.write(exitTableOf(measurements));
  return conclude(baseline ? exitRegressions(baseline, measurements) : [], json, () => exitJsonOf(measurements));
}

/** Shows on a terminal what is being done, in place of what stood there. */
function say(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${what}`);
}

/** Writes the numbers to a file and the problems to stderr; gives the exit status. */
function conclude(problems: readonly string[], json: string | undefined, numbers: () => unknown): number {
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(numbers(), undefined, 2)}\n`);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  return problems.length > 0 ? FAILED : 0;
}
