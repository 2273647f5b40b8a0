import { defineConfig } from 'vitest/config';
import { longestFirst } from '../support/longest-first.ts';

/** The flows through the window of a real VS Code; tools/test-vscode.mjs runs them once its VS Code is installed. */
export default defineConfig({
  test: {
    include: ['test/ui/**/*.ui.mjs'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // As long as the window's own waiting: a machine may be busy.
    expect: { poll: { timeout: 30_000 } },
    pool: 'forks',
    // A window waits more than half of its time, and has a server, a browser and data of its own.
    maxWorkers: 2,
    sequence: { sequencer: longestFirst(['views', 'page-tables', 'virtqueues', 'exit-profile', 'hyperv-packet']) },
  },
});
