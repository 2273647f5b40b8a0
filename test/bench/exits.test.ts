import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseBaseline } from '../../src/cli/bench/baseline.ts';
import { ExitGuest, type ExitSetup } from '../../src/cli/bench/exits/exit-guest.ts';
import { EXIT_KINDS, type ExitKind } from '../../src/cli/bench/exits/exit-kinds.ts';
import { exitJsonOf, exitRegressions, exitTableOf } from '../../src/cli/bench/exits/exit-report.ts';
import { type ExitMeasurement, measureExits } from '../../src/cli/bench/exits/measure-exits.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'hyperscope-exits-test-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const FILE = path.join(scratch, 'exits.jsonl');
/** CPU seconds: one slice at least. */
const SHORT = 0.001;
/** Exits that a guest may make while it sets up its timer. */
const SET_UP = 10;
/** Exits of one body that its guest hasn't counted yet. */
const UNCOUNTED = 16;

function ran(kind: ExitKind, setup: ExitSetup): ExitGuest {
  const guest = new ExitGuest(kind, setup, FILE);
  guest.run(SHORT);
  guest.close();
  return guest;
}

function kindOf(name: string): ExitKind {
  const kind = EXIT_KINDS.find((each) => each.name === name);
  if (!kind) throw new Error(`no kind ${name}`);
  return kind;
}

describe.each(EXIT_KINDS.map((kind) => [kind.name, kind] as const))('exits of the kind %s', (_, kind) => {
  test('are all that its guest makes, and it counts each of them', () => {
    const guest = ran(kind, 'journal');
    const { total, countByReason } = guest.partition.journal;
    const own = countByReason.get(kind.reason) ?? 0;
    expect(own).toBeGreaterThan(100);
    expect(total - own).toBeLessThanOrEqual(SET_UP);
    expect(Math.abs(own - guest.made)).toBeLessThanOrEqual(UNCOUNTED);
  });

  test.skipIf(kind.bare === false)('are none on a bare machine, where its guest runs too', () => {
    const guest = ran(kind, 'bare');
    expect(guest.partition.journal.total).toBe(0);
    expect(guest.made).toBeGreaterThan(100);
  });
});

describe('a guest of the bench', () => {
  const cpuid = kindOf('cpuid');

  test('leaves no records with the journal off, all but the count is the same', () => {
    const off = new ExitGuest(cpuid, 'off', FILE);
    const usual = new ExitGuest(cpuid, 'journal', FILE);
    for (const { partition } of [off, usual]) partition.run({ instructions: 1000 });
    expect([off.partition.journal.latest(10), usual.partition.journal.latest(10).length]).toEqual([[], 10]);
    expect(off.partition.journal.countByReason).toEqual(usual.partition.journal.countByReason);
    expect(off.partition.stateHash()).toBe(usual.partition.stateHash());
  });

  test('has each exit in its file, and counts by all fields, where it is to', () => {
    const { journal } = ran(cpuid, 'file').partition;
    expect(readFileSync(FILE, 'utf8').trimEnd().split('\n').length).toBe(journal.total);
    const counted = ran(cpuid, 'statistics').partition.journal;
    expect(counted.statistics.by('leaf')).toMatchObject([{ value: '0x0', count: counted.total }]);
  });

  test('that ends is an error with its last sentence', () => {
    const guest = new ExitGuest({ name: 'end', reason: 'hlt', body: 'cli\nhlt' }, 'journal', FILE);
    expect(() => guest.run(SHORT)).toThrow(/halted/);
  });
});

describe('the report', () => {
  const one = (name: string, ratio: number): ExitMeasurement => ({
    name,
    speeds: { off: 250_000, journal: 200_000, statistics: 100_000, file: 50_000 },
    ratios: { 'journal/off': ratio, 'statistics/off': 0.4, 'file/off': 0.2 },
  });
  const both = [one('cpuid', 0.4), one('hypercall', 0.9)];

  test('has exits a second, microseconds in each setup, ratios and their means', () => {
    expect(exitTableOf(both)).toBe(
      `exit            exits/s  off µs  journal µs  statistics µs  file µs  bare µs  journal/off  statistics/off  file/off
cpuid            200000    4.00        5.00          10.00    20.00        -         0.40            0.40      0.20
hypercall        200000    4.00        5.00          10.00    20.00        -         0.90            0.40      0.20
geometric mean                                                                       0.60            0.40      0.20
`,
    );
    expect(exitJsonOf(both)).toMatchObject({
      exits: [{ name: 'cpuid' }, {}],
      geometricMeans: { 'journal/off': expect.closeTo(0.6) },
    });
  });

  test('names means that are worse than a baseline allows', () => {
    const baseline = (ratio: number) =>
      parseBaseline(
        JSON.stringify({ tolerance: 0.5, longestTranslation: 50, ratios: {}, exits: { 'journal/off': ratio } }),
        'baseline.json',
      );
    expect(exitRegressions(baseline(1.1), both)).toEqual([]);
    expect(exitRegressions(baseline(1.3), both)).toEqual(['exits: journal/off is 0.60, the baseline has 1.30 and allows 0.65.']);
  });

  test('is made from measurements of all setups', () => {
    const { speeds, ratios } = measureExits(kindOf('cpuid'), { seconds: SHORT, rounds: 1 });
    expect(Object.keys(speeds)).toEqual(['off', 'journal', 'statistics', 'file', 'bare']);
    for (const value of [...Object.values(speeds), ...Object.values(ratios)]) expect(value).toBeGreaterThan(0);
    expect(measureExits(kindOf('hypercall'), { seconds: SHORT, rounds: 1 }).speeds.bare).toBeUndefined();
  });
});
