import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['test/long/**/*.long.test.ts'], testTimeout: 3_600_000, pool: 'forks', maxWorkers: 2 },
});
