import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/long/**', 'test/vscode/**', '**/node_modules/**'],
    testTimeout: 120_000,
    // Some build what they test; a machine may be busy.
    hookTimeout: 120_000,
    pool: 'forks',
    // A worker keeps its modules from file to file: to load them, and to generate the processor, took half of the time. So tests share
    // what modules hold; none of them replaces a module or leaves a global changed.
    isolate: false,
    // Left alone, vitest keeps a core for itself, which is half of a machine with two.
    maxWorkers: '100%',
  },
});
