import { defineConfig } from 'vitest/config';
import { longestFirst } from './test/support/longest-first.ts';

/** Minutes each; the others take one or two. */
const LONGEST = [
  'bench',
  'instruction-streams-intel',
  'instruction-streams-amd',
  'native',
  'native-vectors',
  'virtio-rings',
  'linux-devices',
  'linux-hyperv-devices',
  'linux-virtio',
  'linux-hyperv',
  'linux',
  'hyperv-hypercalls',
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
