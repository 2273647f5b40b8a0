// `npm test`: installs, builds, and runs every test; the last line is `N passed, N failed`. `--long` runs the
// long tests instead.
// Parts that can't run on this machine are named as skipped, with the reason.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { installPackages, npm, requireNode, root, run, step } from './steps.mjs';

requireNode();
const long = process.argv.includes('--long');
const results = path.join(root, 'test-results');
mkdirSync(results, { recursive: true });
let passed = 0;
let failed = 0;
let broken = false;

/** Runs vitest with a config and adds its counts; each failure is printed with its name. */
async function vitest(title, config) {
  const report = path.join(results, `${title.replaceAll(/\W+/g, '-')}.json`);
  rmSync(report, { force: true });
  await step(title, async () => {
    const args = ['vitest', 'run', '--config', config, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const { status } = await run('npx', args, { show: true, allowFailure: true, env: { NO_COLOR: '1' } });
    if (!existsSync(report)) {
      broken = true;
      return;
    }
    const { numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites } = JSON.parse(readFileSync(report, 'utf8'));
    passed += numPassedTests;
    failed += numFailedTests;
    if (numPendingTests > 0) console.log(`  ${numPendingTests} skipped (each names its reason)`);
    // A file that fails to load has no tests to count.
    if (status !== 0 && numFailedTests === 0) failed += Math.max(1, numFailedTestSuites);
  });
}

/** Runs a script that prints `N passed, N failed` itself, or `skipped: reason`. */
async function script(title, file) {
  await step(title, async () => {
    const { status, output } = await run('node', [file], { show: true, allowFailure: true });
    const counts = [...output.matchAll(/^(\d+) passed, (\d+) failed$/gm)].at(-1);
    if (counts) {
      passed += Number(counts[1]);
      failed += Number(counts[2]);
    }
    const skipped = /^skipped: /m.test(output);
    if (status !== 0 && !(counts && Number(counts[2]) > 0)) failed += 1;
    else if (!counts && !skipped) broken = true;
  });
}

try {
  await installPackages();
  await step('Building', () => run(npm, ['run', 'build', '--silent']));
  if (long) await vitest('Long tests', 'vitest.long.config.ts');
  else {
    await vitest('Unit tests', 'vitest.config.ts');
    await script('Tests in the real VS Code', 'tools/test-vscode.mjs');
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  broken = true;
}
if (broken) failed = Math.max(failed, 1);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
