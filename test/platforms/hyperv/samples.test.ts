import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../../src/cli/node-files.ts';
import type { PrivilegeName } from '../../../src/hypervisor/privileges/privileges.ts';
import { createPartition } from '../../../src/platforms/create-partition.ts';
import { loadProgram } from '../../../src/programs/load-program.ts';
import { runToEnd } from '../run-guest.ts';

/** What a sample prints, to its power-off. */
function printed(name: string, vendor: 'intel' | 'amd', privileges?: readonly PrivilegeName[]): string {
  const path = `samples/hyperv/${name}.asm`;
  const program = loadProgram(readFileSync(path), path, {}, nodeFiles);
  const { text, end } = runToEnd(
    createPartition({ platform: 'hyperv', vendor, vcpus: 1, memory: 64 << 20, privileges }, program),
  );
  expect(end.kind).toBe('power-off');
  return text;
}

const hexOf = (text: string, what: string): number => Number(new RegExp(`${what}[^:]*: *(0x[0-9a-f]+)`).exec(text)?.[1]);

describe.each(['intel', 'amd'] as const)('on %s, the samples of Hyper-V', (vendor) => {
  test('find out whose partition they are in, and what it may do', () => {
    const text = printed('discover', vendor);
    expect(text).toMatch(/^hypervisor: Microsoft Hv\nlast leaf: 0x4000000c\nprivileges: 0x[0-9a-f]+\n/);
    const fewer = printed('discover', vendor, ['hypercalls', 'power', 'serial-console']);
    const mask = (of: string) => BigInt(/privileges: (0x[0-9a-f]+)/.exec(of)?.[1] ?? 0);
    // Timers (bit 3) are gone, with others; the hypercall MSRs (bit 5) aren't.
    expect([(mask(text) >> 3n) & 1n, (mask(fewer) >> 3n) & 1n, (mask(fewer) >> 5n) & 1n]).toEqual([1n, 0n, 1n]);
  });

  test('tell the same time by the MSR and by the reference page', () => {
    const text = printed('virtual-processor', vendor);
    const byMsr = hexOf(text, 'by MSR');
    const byPage = hexOf(text, 'TSC page');
    expect(byMsr).toBeGreaterThan(0);
    // What lies between the two reads takes less than 10 µs.
    expect(byPage - byMsr).toBeGreaterThanOrEqual(0);
    expect(byPage - byMsr).toBeLessThan(100);
    expect(text).toMatch(/virtual processor 0x0\n[\s\S]*sequence 0x1, scale 0x28f5c28f5c28f5d\n$/);
  });

  test('are interrupted by a timer with messages, each at its time, and by one without', () => {
    const text = printed('interrupts', vendor);
    const expired = [...text.matchAll(/timer 0x0: expired at (0x[0-9a-f]+), told at (0x[0-9a-f]+)/g)].map((row) =>
      row.slice(1).map(Number),
    );
    expect(expired).toHaveLength(5);
    for (const [index, [at = 0, told = 0]] of expired.entries()) {
      expect(told).toBeGreaterThanOrEqual(at);
      if (index > 0) expect(at - (expired[index - 1]?.[0] ?? 0)).toBe(1000);
    }
    expect(text).toMatch(/direct timer: interrupted\n$/);
  });
});
