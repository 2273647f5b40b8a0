import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { guest, runToEnd } from './run-guest.ts';

const SAMPLE = readFileSync(path.resolve(import.meta.dirname, '../../samples/bare/smp.asm'), 'utf8');
const ROUNDS = 200;
const small = { memory: 4 << 20, platform: 'bare' } as const;

/** The sample's guest: in x2APIC mode where that is asked for. */
function processors(vcpus: number, configuration: Partial<PartitionConfiguration> = {}, x2apic = false): GuestPartition {
  return guest(x2apic ? `%define X2APIC\n${SAMPLE}` : SAMPLE, { ...small, vcpus, ...configuration });
}

/** What it prints when every processor did its part. */
function report(vcpus: number): string {
  return [
    `processors: ${vcpus}`,
    `counter: ${vcpus * ROUNDS}`,
    `nodes in the list: ${vcpus * ROUNDS}`,
    `interrupts between processors: ${4 * vcpus + 1}`,
    `of them to the first: ${vcpus === 1 ? 4 : 3}`,
    `seen in the window: ${vcpus * 101}`,
    '',
  ].join('\n');
}

/** State hashes at the given instructions, however the run is sliced on the way, then those of the end. */
function hashesOnTheWay(partition: GuestPartition, slice: number, places: readonly number[]): readonly string[] {
  const hashes: string[] = [];
  let text = '';
  partition.onConsole((_source, bytes) => {
    text += new TextDecoder().decode(bytes);
  });
  for (const place of places) {
    while (!partition.end && partition.icount < BigInt(place))
      partition.run({ instructions: Math.min(slice, place - Number(partition.icount)) });
    hashes.push(partition.stateHash());
  }
  const { hash, end } = runToEnd(partition, slice);
  return [...hashes, hash, text, end.kind];
}

describe('several processors', () => {
  test.each([1, 2, 8, 16, 64])('start, share a lock, interrupt each other and see a changed mapping: %i of them', (vcpus) => {
    const { text, end } = runToEnd(processors(vcpus));
    expect(text).toBe(report(vcpus));
    expect(end.kind).toBe('power-off');
  });

  test.each([
    ['a bare machine', { platform: 'bare' }],
    ['KVM on Intel', { platform: 'kvm', vendor: 'intel' }],
    ['KVM on AMD', { platform: 'kvm', vendor: 'amd' }],
  ] as const)('do so in both APIC modes on %s', (_name, configuration) => {
    for (const x2apic of [false, true]) {
      const { text } = runToEnd(processors(4, configuration, x2apic));
      expect(text, x2apic ? 'x2APIC' : 'xAPIC').toBe(report(4));
    }
  });

  const places = [5000, 25_000, 31_337, 50_000, 65_432];
  test.each(['bare', 'kvm'] as const)(
    'have the same states in ten runs, interpreted or translated, in any slices, on %s',
    (platform) => {
      const [first, ...others] = [
        [1_000_000, 0],
        [1_000_000, undefined],
        [100_000, undefined],
        [65_537, 0],
        [10_000, undefined],
        [4096, undefined],
        [1009, 0],
        [1009, undefined],
        [97, undefined],
        [7, undefined],
      ].map(([slice = 1, translator]) => hashesOnTheWay(processors(4, { platform, translator }), slice, places));
      expect(first?.[places.length + 1]).toBe(report(4));
      for (const other of others) expect(other).toEqual(first);
    },
  );
});
