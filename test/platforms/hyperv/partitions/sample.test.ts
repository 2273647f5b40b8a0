import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { nodeFiles } from '../../../../src/cli/node-files.ts';
import { Host } from '../../../../src/hypervisor/host/host.ts';
import { USUAL_PRIVILEGES } from '../../../../src/hypervisor/privileges/privileges.ts';
import { createPartition } from '../../../../src/platforms/create-partition.ts';
import { loadProgram } from '../../../../src/programs/load-program.ts';

const SAMPLE = 'samples/hyperv/parent.asm';

function run(vendor: 'intel' | 'amd', slice: number) {
  const program = loadProgram(readFileSync(SAMPLE), SAMPLE, {}, nodeFiles);
  const host = new Host();
  const privileges = [...USUAL_PRIVILEGES, 'create-partitions'] as const;
  const parent = createPartition({ platform: 'hyperv', vendor, vcpus: 1, memory: 4 << 20, privileges }, program, host);
  const exits: string[] = [];
  host.onAdd(({ journal }) => journal.onRecord(({ reason, result }) => exits.push(`${reason}: ${result}`)));
  let text = '';
  parent.onConsole((_source, bytes) => {
    text += new TextDecoder().decode(bytes);
  });
  for (let calls = 0; calls < 20_000; calls++) {
    const { partition, stop } = host.run({ instructions: slice });
    if (partition === parent && stop.kind === 'ended')
      return { text, exits, stop, hash: parent.stateHash(), events: host.journal.latest.map(({ kind }) => kind) };
  }
  throw new Error(`the sample did not end; it printed ${text}`);
}

test.each(['intel', 'amd'] as const)('the sample makes a partition on %s, serves its intercepts and ends it', (vendor) => {
  const { text, exits, stop, events } = run(vendor, 100_000);
  expect(text).toBe(
    'made partition 0x2\nHello, child!\nthe child rings doorbell 0x7\nthe child is gone; its last word was 0x600d\n',
  );
  expect(stop).toMatchObject({ end: { kind: 'power-off', status: 0 } });
  expect([...new Set(exits)]).toEqual([
    'cpuid: HvMessageTypeX64CpuidIntercept to partition 1',
    'msr-read: HvMessageTypeX64MsrIntercept to partition 1',
    'io: HvMessageTypeX64IoPortIntercept to partition 1',
    'mmio: HvMessageTypeUnmappedGpa to partition 1',
    'mmio: rings doorbell port 7 of partition 1',
    'hlt: HvMessageTypeX64Halt to partition 1',
  ]);
  expect(events).toEqual(['created', 'created', 'memory-scrubbed', 'destroyed', 'ended']);
});

test('is the same in slices of any length', () => {
  expect(run('intel', 777).hash).toBe(run('intel', 1_000_000).hash);
});
