import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';

/** What VS Code calls in its extension host. Throws when a test fails, and leaves the counts for the runner. */
export async function run(): Promise<void> {
  const mocha = new Mocha({ ui: 'bdd', timeout: 30_000, color: false, slow: 2000 });
  // The suites register themselves with mocha's globals, which exist only from here on.
  mocha.suite.emit('pre-require', globalThis, '', mocha);
  await import('./activation.ts');
  await import('./language.ts');
  await import('./debugging.ts');
  await import('./views.ts');
  const counts = await new Promise<{ passed: number; failed: number }>((resolve) => {
    let passed = 0;
    const runner = mocha.run((failed) => resolve({ passed, failed }));
    runner.on('pass', () => {
      passed++;
    });
  });
  const report = process.env.HYPERSCOPE_TEST_REPORT;
  if (report !== undefined) writeFileSync(report, JSON.stringify(counts));
  if (counts.failed > 0) throw new Error(`${counts.failed} tests failed`);
}
