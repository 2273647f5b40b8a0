import type { Group } from './catalog.ts';
import type { EngineName } from './engines.ts';
import type { Measurement } from './measure.ts';

/** Pairs of engines whose speeds are compared. */
export const RATIOS = [
  ['interpreter', 'bochs'],
  ['translator', 'qemu'],
  ['translator', 'qemu-icount'],
  ['translator', 'v86'],
] as const;
export type RatioName = `${(typeof RATIOS)[number][0]}/${(typeof RATIOS)[number][1]}`;

/** The ratios of a measurement, above 1 where the first of the pair is faster. */
export function ratiosOf({ speeds }: Measurement): Partial<Record<RatioName, number>> {
  const ratios: Partial<Record<RatioName, number>> = {};
  for (const [one, other] of RATIOS) {
    const [a, b] = [speeds.get(one)?.mips, speeds.get(other)?.mips];
    if (a && b) ratios[`${one}/${other}`] = a / b;
  }
  return ratios;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Geometric means of a ratio over groups of programs. */
export function meansOf(measurements: readonly Measurement[], groups: readonly Group[]): Partial<Record<RatioName, number>> {
  const means: Partial<Record<RatioName, number>> = {};
  for (const [one, other] of RATIOS) {
    const name: RatioName = `${one}/${other}`;
    const values = measurements
      .filter(({ program }) => groups.includes(program.group))
      .map((measurement) => ratiosOf(measurement)[name])
      .filter((value) => value !== undefined);
    if (values.length > 0) means[name] = geometricMean(values);
  }
  return means;
}

/** Rows as columns: the first `words` to the left, the others to the right. Ends with a line end. */
export function aligned(rows: readonly (readonly string[])[], words: number): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column < words ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ');
  return `${rows.map((row) => line(row).trimEnd()).join('\n')}\n`;
}

export const number = (value: number | undefined, digits: number): string => (value === undefined ? '-' : value.toFixed(digits));

/** The program with the translation that took longest, and its milliseconds. */
export function longestTranslation(
  measurements: readonly Measurement[],
): { readonly program: string; readonly milliseconds: number } | undefined {
  let longest: { program: string; milliseconds: number } | undefined;
  for (const { program, speeds } of measurements)
    for (const { longestTranslation: milliseconds = 0 } of speeds.values())
      if (milliseconds > (longest?.milliseconds ?? 0)) longest = { program: program.name, milliseconds };
  return longest;
}

/** The table for people: millions of instructions a second, and ratios. */
export function tableOf(measurements: readonly Measurement[], engines: readonly EngineName[]): string {
  const names = RATIOS.filter(([one, other]) => engines.includes(one) && engines.includes(other)).map(
    ([one, other]): RatioName => `${one}/${other}`,
  );
  const rows: string[][] = [['program', 'group', ...engines, ...names]];
  for (const measurement of measurements) {
    const ratios = ratiosOf(measurement);
    rows.push([
      measurement.program.name,
      measurement.program.group,
      ...engines.map((engine) => number(measurement.speeds.get(engine)?.mips, 1)),
      ...names.map((name) => number(ratios[name], 2)),
    ]);
  }
  const summary: readonly (readonly [string, readonly Group[]])[] = [
    ['integer and memory', ['integer', 'memory']],
    ['vectors', ['vectors']],
    ['system', ['system']],
    ['32-bit', ['32-bit']],
  ];
  for (const [title, groups] of summary) {
    const means = meansOf(measurements, groups);
    if (Object.keys(means).length > 0)
      rows.push(['geometric mean', title, ...engines.map(() => ''), ...names.map((name) => number(means[name], 2))]);
  }
  const longest = longestTranslation(measurements);
  const note = longest ? `longest translation: ${longest.milliseconds.toFixed(1)} ms, in ${longest.program}\n` : '';
  return `${aligned(rows, 2)}${note}`;
}

/** The same for programs. */
export function jsonOf(measurements: readonly Measurement[]): unknown {
  return {
    unit: 'millions of guest instructions a second',
    programs: measurements.map((measurement) => ({
      name: measurement.program.name,
      group: measurement.program.group,
      instructionsPerIteration: measurement.instructionsPerIteration,
      speeds: Object.fromEntries(measurement.speeds),
      ratios: ratiosOf(measurement),
      problems: measurement.problems,
    })),
    geometricMeans: {
      integerAndMemory: meansOf(measurements, ['integer', 'memory']),
      vectors: meansOf(measurements, ['vectors']),
      system: meansOf(measurements, ['system']),
      narrow: meansOf(measurements, ['32-bit']),
    },
  };
}
