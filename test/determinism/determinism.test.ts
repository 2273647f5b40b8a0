import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeFiles } from '../../src/cli/node-files.ts';
import type { GuestPartition } from '../../src/hypervisor/partition/guest-partition.ts';
import { PRIVILEGES } from '../../src/hypervisor/privileges/privileges.ts';
import type { PartitionConfiguration } from '../../src/platforms/configuration.ts';
import { createPartition } from '../../src/platforms/create-partition.ts';
import { networkPlan } from '../../src/platforms/network.ts';
import { loadProgram } from '../../src/programs/load-program.ts';

const root = path.resolve(import.meta.dirname, '../..');
const samples = readdirSync(path.join(root, 'samples'), { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.asm'),
);
/** Instructions between two looks at the state: a multiple of all slices. */
const STRETCH = 7000;
const STRETCHES = 12;

/** What a sample of Hyper-V is there for: its network, or its child. */
const NEEDS: Readonly<Record<string, Partial<PartitionConfiguration>>> = {
  'hyperv/vmbus.asm': { network: networkPlan({ net: 'user' }) },
  'hyperv/parent.asm': { privileges: PRIVILEGES.map(({ name }) => name) },
};

function start(file: string, platform: 'bare' | 'kvm' | 'hyperv'): GuestPartition {
  const full = path.join(root, 'samples', file);
  const program = loadProgram(nodeFiles.read(full), full, {}, nodeFiles);
  const needs = platform === 'hyperv' ? NEEDS[file.replaceAll(path.sep, '/')] : {};
  return createPartition({ platform, vendor: 'intel', memory: 2 << 20, vcpus: 1, ...needs }, program);
}

/** State hashes on the way, one per stretch, the console's text, and the exits. */
function observe(partition: GuestPartition, slice: number) {
  let text = '';
  const exits: string[] = [];
  partition.onConsole((_source, bytes) => {
    text += new TextDecoder('latin1').decode(bytes);
  });
  partition.journal.onRecord(({ icount, rip, request, result }) => exits.push(`${icount} ${rip} ${request} ${result}`));
  const hashes: string[] = [];
  for (let stretch = 1; stretch <= STRETCHES && !partition.end; stretch++) {
    const goal = BigInt(stretch * STRETCH);
    while (partition.icount < goal && !partition.end) {
      const left = Number(goal - partition.icount);
      if (partition.run({ instructions: Math.min(slice, left) }).kind === 'idle') break;
    }
    hashes.push(partition.stateHash());
  }
  return { hashes, text, exits, end: partition.end, instructions: partition.icount };
}

describe.each(samples)('%s', (file) => {
  test.each(['bare', 'kvm', 'hyperv'] as const)(
    'does the same again on %s, stopped every 1, 7 and 1,000 instructions or not at all',
    (platform) => {
      const whole = observe(start(file, platform), STRETCH);
      expect(whole.hashes.length).toBeGreaterThan(0);
      expect(observe(start(file, platform), STRETCH)).toEqual(whole);
      for (const slice of [1, 7, 1000]) expect(observe(start(file, platform), slice)).toEqual(whole);
    },
  );
});
