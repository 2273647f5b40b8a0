import { defineConfig } from 'vitest/config';
import { longestFirst } from './tools/longest-first.mjs';

/** Minutes each; the others take one or two. */
const LONGEST = [
  'bench.long',
  'instruction-streams-intel.long',
  'instruction-streams-amd.long',
  'native.long',
  'native-vectors.long',
  'virtio-rings.long',
  'linux-devices.long',
  'linux-hyperv-devices.long',
  'linux-virtio.long',
  'linux-hyperv.long',
  'linux.long',
  'hyperv-hypercalls.long',
];

export default defineConfig({
  test: {
    include: ['test/long/**/*.long.test.ts'],
    testTimeout: 3_600_000,
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: longestFirst(LONGEST) },
  },
});
