import type { Baseline } from '../baseline.ts';
import { aligned, geometricMean, number } from '../report.ts';
import { EXIT_SETUPS } from './exit-guest.ts';
import { EXIT_RATIOS, type ExitMeasurement, type ExitRatioName } from './measure-exits.ts';

/** Geometric means of the ratios over the kinds. */
function meansOf(measurements: readonly ExitMeasurement[]): Record<ExitRatioName, number> {
  const mean = (name: ExitRatioName) => geometricMean(measurements.map(({ ratios }) => ratios[name]));
  return { 'journal/off': mean('journal/off'), 'statistics/off': mean('statistics/off'), 'file/off': mean('file/off') };
}

/** The table for people: exits a second with the journal as usual, microseconds of one exit in each setup, ratios. */
export function exitTableOf(measurements: readonly ExitMeasurement[]): string {
  const rows = [['exit', 'exits/s', ...EXIT_SETUPS.map((setup) => `${setup} µs`), ...EXIT_RATIOS]];
  for (const { name, speeds, ratios } of measurements)
    rows.push([
      name,
      number(speeds.journal, 0),
      ...EXIT_SETUPS.map((setup) => number(speeds[setup] && 1e6 / speeds[setup], 2)),
      ...EXIT_RATIOS.map((ratio) => number(ratios[ratio], 2)),
    ]);
  const means = meansOf(measurements);
  rows.push(['geometric mean', '', ...EXIT_SETUPS.map(() => ''), ...EXIT_RATIOS.map((name) => number(means[name], 2))]);
  return aligned(rows, 1);
}

/** The same for programs. */
export function exitJsonOf(measurements: readonly ExitMeasurement[]): unknown {
  return { unit: 'exits a second of CPU time', exits: measurements, geometricMeans: meansOf(measurements) };
}

/** Means that are worse than the baseline allows, as sentences. */
export function exitRegressions({ exits = {}, tolerance }: Baseline, measurements: readonly ExitMeasurement[]): string[] {
  const means = meansOf(measurements);
  return EXIT_RATIOS.flatMap((name) => {
    const expected = exits[name];
    if (expected === undefined || means[name] >= expected * (1 - tolerance)) return [];
    const least = (expected * (1 - tolerance)).toFixed(2);
    return `exits: ${name} is ${means[name].toFixed(2)}, the baseline has ${expected.toFixed(2)} and allows ${least}.`;
  });
}
