import { defineConfig } from 'vitest/config';

/** The flows through the window of a real VS Code; tools/test-vscode.mjs runs them once its VS Code is installed. */
export default defineConfig({
  test: {
    include: ['test/ui/**/*.ui.mjs'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // As long as the window's own waiting: a machine may be busy.
    expect: { poll: { timeout: 30_000 } },
    pool: 'forks',
    fileParallelism: false,
  },
});
