import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build, checkout } from './checkout.ts';
import { type Outcome, runInPartition, runUnderQemu } from './machines.ts';
import { UNIT_TESTS, type UnitTest } from './unit-tests.ts';

/** Processors that start together print in any order. */
const STARTING = /^(?:smp: waiting for \d+ APs|enabling apic|setup: CPU \d+ online|x2apic enabled)$/;
/** Where the stack or the code of a test lies, cycles and nanoseconds: they differ from run to run or from machine to machine. */
const MEASURED: readonly (readonly [RegExp, string])[] = [
  [/^(\s*[\w ]+) \d+$/, '$1 N'],
  [/^\d+ (cycles\/emulated)/, 'N $1'],
  [/(cr3 = |rip=|stack 0x)[\da-f]+/, '$1N'],
];

/** The lines that are compared. */
export function comparable(text: string, { ignored = [] }: UnitTest): string[] {
  return text
    .replaceAll('\r', '')
    .split('\n')
    .map((line) => MEASURED.reduce((changed, [pattern, by]) => changed.replace(pattern, by), line))
    .filter((line) => !STARTING.test(line) && !ignored.some(({ line: pattern }) => pattern.test(line)));
}

/** The status of a test that found nothing wrong. */
const SUCCESS = 1;

function expectEqual(ours: Outcome, theirs: Outcome, unitTest: UnitTest, platform: string): void {
  expect(comparable(ours.text, unitTest), platform).toEqual(comparable(theirs.text, unitTest));
  expect(ours.problem, platform).toBe(theirs.problem);
  expect(ours.status, platform).toBe(theirs.status);
}

/** Where QEMU is no measure: the test itself says whether it passed. */
function expectPassed({ text, problem, status }: Outcome, { ignored = [] }: UnitTest, platform: string): void {
  const failed = text.split(/\r*\n/).filter((line) => line.startsWith('FAIL') && !ignored.some((open) => open.line.test(line)));
  expect(failed, platform).toEqual([]);
  expect(text, platform).toMatch(/^PASS|^SUMMARY/m);
  expect(problem, platform).toBeUndefined();
  if (ignored.length === 0) expect(status, platform).toBe(SUCCESS);
}

/** Tests of kvm-unit-tests, in partitions and under QEMU: the short ones or the long ones. */
export function kvmUnitTests(long: boolean): void {
  const source = checkout();
  const title = `kvm-unit-tests print what they print under QEMU${'missing' in source ? ` (skipped: ${source.missing})` : ''}`;
  describe.skipIf('missing' in source)(title, () => {
    const chosen = UNIT_TESTS.filter((unitTest) => (unitTest.long ?? false) === long);
    const scratch = mkdtempSync(path.join(tmpdir(), 'hyperscope-kvm-unit-tests-'));
    const folders = new Map<number, string>();
    afterAll(() => rmSync(scratch, { recursive: true, force: true }));
    beforeAll(() => {
      if ('missing' in source) return;
      for (const bits of [64, 32] as const)
        if (chosen.some((unitTest) => (unitTest.bits ?? 64) === bits)) folders.set(bits, build(source.directory, scratch, bits));
    }, 600_000);

    for (const unitTest of chosen)
      test(unitTest.name, { timeout: 3_600_000 }, async () => {
        const image = path.join(folders.get(unitTest.bits ?? 64) ?? '', `${unitTest.file}.flat`);
        const theirs = unitTest.notQemu === undefined ? await runUnderQemu(unitTest, image, scratch) : undefined;
        for (const platform of unitTest.platforms ?? (['bare', 'kvm'] as const)) {
          const ours = await runInPartition(unitTest, image, platform);
          if (theirs === undefined) expectPassed(ours, unitTest, platform);
          else expectEqual(ours, theirs, unitTest, platform);
        }
      });
  });
}
