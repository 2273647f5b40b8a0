import { expect, test } from 'vitest';
import { ExitProfile } from '../../src/hypervisor/journal/exit-profile.ts';

const at = (reason: 'io' | 'cpuid' | 'hlt', icount: number) => ({ reason, icount: String(icount) });

test('counts exits by reason and by the part of the run', () => {
  const profile = new ExitProfile();
  for (const exit of [at('io', 5), at('io', 1030), at('cpuid', 3000), at('io', 3071)]) profile.add(exit);
  expect(profile.data()).toEqual({
    total: 4,
    instructions: 3071,
    width: 1024,
    reasons: [
      { reason: 'io', total: 3, counts: [1, 1, 1] },
      { reason: 'cpuid', total: 1, counts: [0, 0, 1] },
    ],
  });
});

test('takes the same room however long the run is, and loses no exit', () => {
  const profile = new ExitProfile();
  for (let exit = 0; exit < 10_000; exit++) profile.add(at(exit % 4 === 0 ? 'hlt' : 'io', exit * 100_000));
  const { total, width, reasons } = profile.data();
  expect(total).toBe(10_000);
  expect(width).toBeGreaterThan(1_000_000_000 / 128 - 1);
  for (const { counts } of reasons) expect(counts.length).toBeLessThanOrEqual(128);
  expect(reasons.map(({ reason, total: count }) => [reason, count])).toEqual([
    ['io', 7500],
    ['hlt', 2500],
  ]);
  profile.clear();
  expect(profile.data()).toEqual({ total: 0, instructions: 0, width: 1024, reasons: [] });
});
