import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type MeasureOptions, median } from '../measure.ts';
import { EXIT_SETUPS, ExitGuest, type ExitSetup } from './exit-guest.ts';
import type { ExitKind } from './exit-kinds.ts';

/** Pairs of setups whose speeds are compared. */
export const EXIT_RATIOS = ['journal/off', 'statistics/off', 'file/off'] as const satisfies readonly `${ExitSetup}/off`[];
export type ExitRatioName = (typeof EXIT_RATIOS)[number];

/** How fast exits of one kind are. */
export interface ExitMeasurement {
  readonly name: string;
  /** Exits a second of CPU time, median of the rounds; on a bare machine, what would be exits. */
  readonly speeds: Readonly<Partial<Record<ExitSetup, number>>>;
  /** Medians of the rounds' ratios, below 1 where the first of the pair is slower. */
  readonly ratios: Readonly<Record<ExitRatioName, number>>;
}

/** Measures one kind in all setups, in turns. A first turn of each, in which code gets warm, doesn't count. */
export function measureExits(kind: ExitKind, { seconds, rounds }: MeasureOptions): ExitMeasurement {
  const folder = mkdtempSync(path.join(tmpdir(), 'hyperscope-bench-'));
  const guests = EXIT_SETUPS.filter((setup) => setup !== 'bare' || kind.bare !== false).map(
    (setup) => new ExitGuest(kind, setup, path.join(folder, 'exits.jsonl')),
  );
  try {
    for (const guest of guests) guest.run(seconds);
    const found: Partial<Record<ExitSetup, number>>[] = [];
    for (let round = 0; round < rounds; round++)
      found.push(Object.fromEntries(guests.map((guest) => [guest.setup, guest.run(seconds)])));
    const ratio = (setup: ExitSetup) => median(found.map((speeds) => (speeds[setup] ?? 0) / (speeds.off ?? 0)));
    return {
      name: kind.name,
      speeds: Object.fromEntries(guests.map(({ setup }) => [setup, median(found.map((speeds) => speeds[setup] ?? 0))])),
      ratios: { 'journal/off': ratio('journal'), 'statistics/off': ratio('statistics'), 'file/off': ratio('file') },
    };
  } finally {
    for (const guest of guests) guest.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
