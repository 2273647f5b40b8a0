import * as v from 'valibot';
import { UsageError } from '../usage.ts';
import type { Measurement } from './measure.ts';
import { longestTranslation, type RatioName, ratiosOf } from './report.ts';

const schema = v.object({
  /** Part of a ratio that may be missing before it counts as slower: machines are noisy. */
  tolerance: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
  /** Milliseconds that a translation may take, in any program. */
  longestTranslation: v.pipe(v.number(), v.minValue(0)),
  /** By program and pair of engines. */
  ratios: v.record(v.string(), v.record(v.string(), v.number())),
  /** By pair of setups of the exits: geometric means over their kinds. */
  exits: v.optional(v.record(v.string(), v.number())),
});
export type Baseline = v.InferOutput<typeof schema>;

/** Reads a baseline file's text. Throws UsageError. */
export function parseBaseline(text: string, path: string): Baseline {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch (error) {
    throw new UsageError(`${path} is no baseline: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

/** Ratios that have become worse than the baseline allows, and translations that took longer, as sentences. */
export function regressions(baseline: Baseline, measurements: readonly Measurement[]): string[] {
  const found: string[] = [];
  const longest = longestTranslation(measurements);
  if (longest && longest.milliseconds > baseline.longestTranslation)
    found.push(
      `${longest.program}: longestTranslation is ${longest.milliseconds.toFixed(1)} ms, the baseline allows ${baseline.longestTranslation}.`,
    );
  for (const measurement of measurements) {
    const ratios = ratiosOf(measurement);
    for (const [name, expected] of Object.entries(baseline.ratios[measurement.program.name] ?? {})) {
      const ratio = ratios[name as RatioName];
      const least = expected * (1 - baseline.tolerance);
      if (ratio !== undefined && ratio < least)
        found.push(
          `${measurement.program.name}: ${name} is ${ratio.toFixed(2)}, the baseline has ${expected.toFixed(2)} and allows ${least.toFixed(2)}.`,
        );
    }
  }
  return found;
}
