import { describe, expect, test } from 'vitest';
import type { Partition } from '../../src/hypervisor/partition/partition.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { loadProgram } from '../../src/programs/load-program.ts';
import { oneFile } from '../support/files.ts';
import { GUESTS, type Guest } from './guests.ts';

/** Instructions between two comparisons of the state. */
const CHECKPOINT = 5_000;
/** No guest here runs longer. */
const LIMIT = 2_000_000;

function start(guest: Guest, platform: 'bare' | 'kvm', vendor: 'intel' | 'amd', vcpus = 1): Partition {
  const source = new TextEncoder().encode(guest.source(vendor));
  const path = `${guest.name}.asm`;
  const program = loadProgram(source, path, {}, oneFile(path, source));
  return createPartition({ platform, vendor, memory: 8 * 1024 * 1024, vcpus }, program);
}

function retired(partition: Partition): number {
  return partition.vcpus.reduce((sum, vcpu) => sum + Number(vcpu.processor.icount), 0);
}

interface Trace {
  readonly checkpoints: readonly string[];
  readonly instructions: number;
  readonly end: string | undefined;
  readonly console: string;
}

/** Runs to the end, at most `slice` instructions at once, and takes the state hash at every checkpoint. */
function trace(partition: Partition, slice: number): Trace {
  const checkpoints: string[] = [];
  const printed: number[] = [];
  partition.onConsole((_, bytes) => printed.push(...bytes));
  let done = retired(partition);
  for (let next = CHECKPOINT; ; ) {
    const stop = partition.run({ instructions: Math.min(slice, next - done) });
    done = retired(partition);
    if (stop.kind === 'ended') break;
    if (done === next) {
      checkpoints.push(partition.stateHash());
      next += CHECKPOINT;
    }
    if (done > LIMIT) throw new Error(`the guest does not end within ${LIMIT} instructions`);
  }
  checkpoints.push(partition.stateHash());
  const { end } = partition;
  return { checkpoints, instructions: done, end: end && `${end.kind} ${end.status}`, console: String.fromCharCode(...printed) };
}

const cases = GUESTS.flatMap((guest) =>
  guest.platforms.flatMap((platform) =>
    (['amd', 'intel'] as const).map((vendor) => ({ guest, platform, vendor, name: guest.name })),
  ),
);

describe.each(cases)('$name on $platform, $vendor', ({ guest, platform, vendor }) => {
  const whole = trace(start(guest, platform, vendor), LIMIT);

  test('ends by itself', () => {
    expect(whole.end).toBe('power-off 0');
    expect(whole.instructions).toBeGreaterThan(100);
  });

  test('has the same states when run a second time, and after a reset', () => {
    const partition = start(guest, platform, vendor);
    expect(trace(partition, LIMIT)).toEqual(whole);
    partition.reset();
    expect(trace(partition, LIMIT)).toEqual(whole);
  });

  test.each([1, 7, 1000])('has the same states when stopped every %i instructions', (slice) => {
    expect(trace(start(guest, platform, vendor), slice)).toEqual(whole);
  });
});
