import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/long/**', 'test/vscode/**', '**/node_modules/**'],
    testTimeout: 120_000,
    pool: 'forks',
    // Left alone, vitest keeps a core for itself, which is half of a machine with two.
    maxWorkers: '100%',
  },
});
